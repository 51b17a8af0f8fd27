// mesos-agent: every flag of Mesos from MESOS_* (or --flag), the master from MESOS_MASTER (HOST:PORT or zk://...).
//
// Its main in Mesos, in the same order. What that does beyond this is not to be had: MESOS_MODULES, MESOS_ACLS (nobody is
// refused anything), MESOS_VOLUME_GID_RANGE, MESOS_CSI_PLUGIN_CONFIG_DIR, MESOS_DOMAIN_SOCKET_LOCATION,
// systemd (set MESOS_SYSTEMD_ENABLE_SUPPORT=false).
#include <unistd.h>
#include <fstream>
#include <iterator>
#include "libmesos.hpp"

// With MESOS_JWT_SECRET_KEY, a file: each executor gets a token that says which it is (MESOS_EXECUTOR_AUTHENTICATION_TOKEN).
static mesos::SecretGenerator* tokens() {
  Option<std::string> path = setting("MESOS_JWT_SECRET_KEY");
  if (!path.some()) return nullptr;
  std::ifstream file(path.value(), std::ios::binary);
  const std::string key{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file || key.empty()) {
    std::fprintf(stderr, "MESOS_JWT_SECRET_KEY: %s can't be read, or is empty\n", path.value().c_str());
    std::exit(1);
  }
  using mesos::authentication::executor::JWTSecretGenerator;
  return (new (room_for<JWTSecretGenerator>()) JWTSecretGenerator(key))->base();
}

int main(int argc, char** argv) {
  using namespace mesos;
  using namespace mesos::internal;
  using namespace mesos::internal::slave;
  const std::string url = needed("MESOS_MASTER"), work_dir = needed("MESOS_WORK_DIR");
  const std::string id = "slave(1)";  // the name by which masters and executors address the agent in this process
  const Option<std::string> none;

  auto* flags = new (room_for<Flags>()) Flags();
  flags->base()->load(std::string("MESOS_"), argc, argv, false, false).get("flags");
  begin(argv, id, "mesos-agent");

  auto* fetcher = new (room_for<Fetcher>()) Fetcher(*flags);
  auto* collector = new (room_for<GarbageCollector>()) GarbageCollector(work_dir);
  auto* futures = static_cast<PendingFutureTracker*>(room_for<PendingFutureTracker>());
  auto* resolver = SecretResolver::create(none).get("secret resolver");
  auto* containerizer =
      Containerizer::create(*flags, false, fetcher, collector, resolver, nullptr, nullptr, nullptr).get("containerizer");
  auto* detector = master::detector::MasterDetector::create(url, none, Option<Duration>()).get("MESOS_MASTER");
  auto* files = new (room_for<Files>()) Files(std::string("mesos-agent-readonly"), Option<Authorizer*>());
  auto* updates = new (room_for<TaskStatusUpdateManager>()) TaskStatusUpdateManager(*flags);
  auto* estimator = mesos::slave::ResourceEstimator::create(none).get("resource estimator");
  auto* qos = mesos::slave::QoSController::create(none).get("QoS controller");
  auto* agent = new (room_for<Slave>()) Slave(
      id, *flags, detector, containerizer, files, collector, updates, estimator, qos, tokens(), nullptr, futures,
      process::Owned<CSIServer>(), Option<process::network::internal::Socket<process::network::unix::Address>>(),
      Option<Authorizer*>());
  process::spawn(agent->process(), false);
  for (;;) pause();
}
