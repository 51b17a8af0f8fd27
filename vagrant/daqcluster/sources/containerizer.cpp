// mesos-containerizer: what the agent forks for each container, as `mesos-containerizer launch --flag=...`.
#include "libmesos.hpp"

namespace mesos { namespace internal { namespace slave {
// The virtual table of MesosContainerizerLaunch; its first two entries are not functions.
extern void* launch_table[] asm("_ZTVN5mesos8internal5slave24MesosContainerizerLaunchE");
}}}

int main(int argc, char** argv) {
  using mesos::internal::slave::MesosContainerizerLaunch;
  // Its constructor is inline in Mesos and so not in the library: made by hand.
  // offset: {virtual table, string name} of Subcommand, Flags at 0xe0, their FlagsBase at 0x168
  char* launch = static_cast<char*>(std::calloc(1, 32768));
  *reinterpret_cast<void**>(launch) = mesos::internal::slave::launch_table + 2;
  new (launch + 8) std::string("launch");
  new (launch + 0xe0) MesosContainerizerLaunch::Flags();
  reinterpret_cast<flags::FlagsBase*>(launch + 0x168)
      ->load(std::string("MESOS_CONTAINERIZER_"), argc - 1, argv + 1, false, false).get("flags");
  return reinterpret_cast<MesosContainerizerLaunch*>(launch)->execute();
}
