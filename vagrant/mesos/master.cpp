// mesos-master: every flag of Mesos from MESOS_*, as `local::launch` reads the master's own, with no agent in the process.
#include <unistd.h>
#include "libmesos.hpp"

int main(int, char** argv) {
  using namespace mesos::internal;
  begin(argv[0], "master");
  auto* flags = new (room_for<local::Flags>()) local::Flags();
  // offset: local::Flags is {virtual table, string work_dir, int num_slaves, ...}
  *reinterpret_cast<std::string*>(flags->room + 8) = environment("MESOS_WORK_DIR");
  *reinterpret_cast<int*>(flags->room + 40) = 0;
  local::launch(*flags, nullptr);
  for (;;) pause();
}
