// The few names of libmesos 1.11.0 that the three launchers use, declared so that the compiler spells the symbols.
//
// Only names and parameter types have to be right for that: what a class holds is never touched from here, apart from
// the places marked "offset". Every class has a constructor or destructor of its own (never run for what lives as long
// as the process), so it is passed and returned in memory, as the library does. Sizes are upper bounds.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>

// stout/option.hpp: the state word, then the value.
template <typename T>
class Option {
 public:
  Option() : state(NONE) {}
  Option(const T& t) : state(SOME) { new (value) T(t); }
  ~Option() {}

 private:
  enum State : int { SOME, NONE } state;
  alignas(16 < alignof(T) ? alignof(T) : 8) unsigned char value[sizeof(T)];
};

// stout/try.hpp: an Option of the value, then an Option of the error, which is a std::string behind a virtual table.
template <typename T>
class Try {
 public:
  ~Try() {}
  T get(const char* what) const {
    if (state != 0) {
      const std::string* message = reinterpret_cast<const std::string*>(
          reinterpret_cast<const char*>(this) + sizeof(Option<void*>) + 16);  // offset: error's state word, virtual table
      std::fprintf(stderr, "%s: %s\n", what, message->c_str());
      std::exit(1);
    }
    return value;
  }

 private:
  int state;
  T value;
  unsigned char room[256];
};

// What a function gives back that nobody looks at.
struct Ignored {
  ~Ignored() {}
  unsigned char room[1024];
};

struct Duration {
  unsigned char room[16];
};

namespace flags {
struct FlagsBase {
  // (prefix of the environment variables, argc, argv, whether unknown names are fine, whether repeated ones are)
  Ignored load(const Option<std::string>& prefix, int argc, const char* const* argv, bool unknowns, bool duplicates);
};
}  // namespace flags

#undef unix  // the compiler's own macro; here it is a namespace
namespace process {
template <typename T> struct PID : Ignored {};
template <typename T> struct Owned { void* data[2] = {nullptr, nullptr}; ~Owned() {} };  // a std::shared_ptr, empty
struct ProcessBase;
namespace network {
namespace unix { class Address; }
namespace internal { template <typename A> class Socket { unsigned char room[64]; }; }
}  // namespace network
bool initialize(const Option<std::string>& delegate, const Option<std::string>& readwrite_realm,
                const Option<std::string>& readonly_realm);
Ignored spawn(ProcessBase* process, bool manage);
template <typename T> PID<T> spawn(T* process, bool manage);
}  // namespace process

namespace mesos {
class Authorizer;
class SecretGenerator;
class SecretResolver {
 public:
  static Try<SecretResolver*> create(const Option<std::string>& module);
};
namespace allocator { class Allocator; }
namespace master { namespace detector {
class MasterDetector {
 public:
  static Try<MasterDetector*> create(const Option<std::string>& url, const Option<std::string>& module,
                                     const Option<Duration>& zk_session_timeout);
};
}}  // namespace master::detector
namespace slave {
class ResourceEstimator {
 public:
  static Try<ResourceEstimator*> create(const Option<std::string>& name);
};
class QoSController {
 public:
  static Try<QoSController*> create(const Option<std::string>& name);
};
}  // namespace slave

namespace internal {
struct Files {
  Files(const Option<std::string>& realm, const Option<Authorizer*>& authorizer);
  unsigned char room[4096];
};
struct VersionProcess {
  VersionProcess();
  unsigned char room[4096];
};
struct PendingFutureTracker { unsigned char room[4096]; };
namespace logging {
struct Flags { unsigned char room[4096]; };
void initialize(const std::string& program, bool signal_handler, const Option<Flags>& flags);
}  // namespace logging

namespace local {
struct Flags {
  Flags();
  unsigned char room[16384];
};
Ignored launch(const Flags& flags, allocator::Allocator* allocator);
}  // namespace local

namespace slave {
class VolumeGidManager;
class CSIServer;
struct Flags {
  Flags();
  // offset: FlagsBase is the second of the virtual bases, whose distances stand before the virtual table, last first
  flags::FlagsBase* base() {
    char* table = *reinterpret_cast<char**>(this);
    return reinterpret_cast<flags::FlagsBase*>(reinterpret_cast<char*>(this) + *reinterpret_cast<std::ptrdiff_t*>(table - 32));
  }
  unsigned char room[65536];
};
struct Fetcher {
  explicit Fetcher(const Flags& flags);
  unsigned char room[4096];
};
struct GarbageCollector {
  explicit GarbageCollector(const std::string& work_dir);
  unsigned char room[4096];
};
struct TaskStatusUpdateManager {
  explicit TaskStatusUpdateManager(const Flags& flags);
  unsigned char room[4096];
};
class Containerizer {
 public:
  static Try<Containerizer*> create(const Flags& flags, bool local, Fetcher* fetcher, GarbageCollector* gc,
                                    SecretResolver* secrets, VolumeGidManager* gids, PendingFutureTracker* futures,
                                    CSIServer* csi);
};
struct Slave {
  Slave(const std::string& id, const Flags& flags, mesos::master::detector::MasterDetector* detector,
        Containerizer* containerizer, Files* files, GarbageCollector* gc, TaskStatusUpdateManager* updates,
        mesos::slave::ResourceEstimator* estimator, mesos::slave::QoSController* qos, SecretGenerator* secrets,
        VolumeGidManager* gids, PendingFutureTracker* futures, process::Owned<CSIServer>&& csi,
        const Option<process::network::internal::Socket<process::network::unix::Address>>& executor_socket,
        const Option<Authorizer*>& authorizer);
  // offset: ProcessBase is the first of the virtual bases
  process::ProcessBase* process() {
    char* table = *reinterpret_cast<char**>(this);
    return reinterpret_cast<process::ProcessBase*>(reinterpret_cast<char*>(this) + *reinterpret_cast<std::ptrdiff_t*>(table - 24));
  }
  unsigned char room[1 << 20];
};
struct MesosContainerizerLaunch {
  struct Flags {
    Flags();
    unsigned char room[16384];
  };
  int execute();
};
}  // namespace slave
}  // namespace internal
}  // namespace mesos

// Memory for an object that lives as long as the process, zero where its constructor leaves it alone.
template <typename T>
void* room_for() { return std::calloc(1, sizeof(T)); }

inline std::string environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) {
    std::fprintf(stderr, "%s is not set\n", name);
    std::exit(2);
  }
  return value;
}

// The mains of Mesos take the address of the daemon by flags of its own, libprocess takes it from LIBPROCESS_*.
inline void pass_on(const char* from, const char* to) {
  if (const char* value = std::getenv(from)) setenv(to, value, 0);
}

// What both daemons begin with: logging, the network (requests without a path go to `delegate`), /version.
inline void begin(const char* program, const char* delegate) {
  pass_on("MESOS_IP", "LIBPROCESS_IP");
  pass_on("MESOS_PORT", "LIBPROCESS_PORT");
  pass_on("MESOS_ADVERTISE_IP", "LIBPROCESS_ADVERTISE_IP");
  pass_on("MESOS_ADVERTISE_PORT", "LIBPROCESS_ADVERTISE_PORT");
  using namespace mesos::internal;
  logging::initialize(program, false, Option<logging::Flags>());
  process::initialize(std::string(delegate), Option<std::string>(), Option<std::string>());
  process::spawn(new (room_for<VersionProcess>()) VersionProcess(), true);
}
