// mesos-master: every flag of Mesos from MESOS_*, as `local::launch` reads the master's own, with no agent in the process.
//
// The registry may be `in_memory` or `replicated_log` (in MESOS_WORK_DIR/master; it survives a kill -9). The master is
// standalone: what contends for the leadership in ZooKeeper is not in the library, so MESOS_ZK has no effect.
#include <unistd.h>
#include "libmesos.hpp"

int main(int, char** argv) {
  using namespace mesos::internal;
  begin(argv, "master", "mesos-master");
  auto* flags = new (room_for<local::Flags>()) local::Flags();
  // offset: local::Flags is {virtual table, string work_dir, int num_slaves, ...}
  *reinterpret_cast<std::string*>(flags->room + 8) = needed("MESOS_WORK_DIR");
  *reinterpret_cast<int*>(flags->room + 40) = 0;
  local::launch(*flags, nullptr);
  for (;;) pause();
}
