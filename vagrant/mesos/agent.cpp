// mesos-agent: every flag of Mesos from MESOS_*, the master from MESOS_MASTER (HOST:PORT or zk://...).
#include <unistd.h>
#include "libmesos.hpp"

int main(int argc, char** argv) {
  using namespace mesos;
  using namespace mesos::internal;
  using namespace mesos::internal::slave;
  const std::string id = "slave(1)";  // the name by which masters and executors address the agent in this process
  const Option<std::string> none;

  auto* flags = new (room_for<Flags>()) Flags();
  flags->base()->load(std::string("MESOS_"), argc, argv, false, false);
  begin(argv[0], id.c_str());

  auto* fetcher = new (room_for<Fetcher>()) Fetcher(*flags);
  auto* collector = new (room_for<GarbageCollector>()) GarbageCollector(environment("MESOS_WORK_DIR"));
  auto* futures = static_cast<PendingFutureTracker*>(room_for<PendingFutureTracker>());
  auto* resolver = SecretResolver::create(none).get("secret resolver");
  auto* containerizer =
      Containerizer::create(*flags, false, fetcher, collector, resolver, nullptr, nullptr, nullptr).get("containerizer");
  auto* detector = master::detector::MasterDetector::create(environment("MESOS_MASTER"), none, Option<Duration>()).get("master");
  auto* files = new (room_for<Files>()) Files(none, Option<Authorizer*>());
  auto* updates = new (room_for<TaskStatusUpdateManager>()) TaskStatusUpdateManager(*flags);
  auto* estimator = mesos::slave::ResourceEstimator::create(none).get("resource estimator");
  auto* qos = mesos::slave::QoSController::create(none).get("QoS controller");
  auto* agent = new (room_for<Slave>()) Slave(
      id, *flags, detector, containerizer, files, collector, updates, estimator, qos, nullptr, nullptr, futures,
      process::Owned<CSIServer>(), Option<process::network::internal::Socket<process::network::unix::Address>>(),
      Option<Authorizer*>());
  process::spawn(agent->process(), false);
  for (;;) pause();
}
