// The few names of libmesos 1.11.0 that the three launchers use, declared so that the compiler spells the symbols.
//
// Only names and parameter types have to be right for that: what a class holds is never touched from here, apart from
// the places marked "offset". Every class has a constructor or destructor of its own (never run for what lives as long
// as the process), so it is passed and returned in memory, as the library does. Sizes are upper bounds.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

// stout/option.hpp: the state word, then the value. Nothing is ever destroyed: all of it lives as long as the process.
template <typename T>
class Option {
 public:
  Option() : state(NONE) {}
  Option(const T& t) : state(SOME) { new (room) T(t); }
  ~Option() {}

  bool some() const { return state == SOME; }
  T& value() { return *reinterpret_cast<T*>(room); }

  // For a T that must not be moved once it is made.
  T& make() {
    state = SOME;
    return *new (room) T();
  }

 private:
  enum State : int { SOME, NONE } state;
  alignas(T) unsigned char room[sizeof(T)] = {};
};

// stout/error.hpp
struct Error {
  std::string message;
};

// stout/try.hpp: the value, then the error, one of which is there.
template <typename T>
class Try {
 public:
  ~Try() {}

  // The value; an error ends the process with the words of Mesos.
  T& get(const char* what) {
    if (!data.some()) {
      std::fprintf(stderr, "%s: %s\n", what, error.value().message.c_str());
      std::exit(1);
    }
    return data.value();
  }

 private:
  Option<T> data;
  Option<Error> error;
};

// What a function gives back that nobody looks at.
struct Ignored {
  ~Ignored() {}
  unsigned char room[1024];
};

struct Duration {
  std::int64_t nanos;
};

// A virtual base of an object. offset: their distances stand before its virtual table, after three other words (the
// table's own offset-to-top and type, and what the compiler keeps for the first virtual function of a base).
template <typename Base, typename T>
Base* virtual_base(T* object, int index) {
  const char* table = *reinterpret_cast<char**>(object);
  return reinterpret_cast<Base*>(reinterpret_cast<char*>(object) +
                                 *reinterpret_cast<const std::ptrdiff_t*>(table - 24 - 8 * index));
}

namespace flags {
struct Warnings {
  ~Warnings() {}
  std::vector<std::string> unread;
};
struct FlagsBase {
  // (prefix of the environment variables, argc, argv, whether unknown names are fine, whether repeated ones are)
  Try<Warnings> load(const Option<std::string>& prefix, int argc, const char* const* argv, bool unknowns, bool duplicates);
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
namespace authentication { namespace executor {
struct JWTSecretGenerator {
  explicit JWTSecretGenerator(const std::string& key);
  // Its only base.
  SecretGenerator* base() { return reinterpret_cast<SecretGenerator*>(this); }
  unsigned char room[4096];
};
}}  // namespace authentication::executor
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
struct Flags {
  Flags();
  flags::FlagsBase* base() { return virtual_base<flags::FlagsBase>(this, 0); }  // its only one
  alignas(8) unsigned char room[4096];
};
void initialize(const std::string& program, bool signal_handler, const Option<Flags>& flags);
}  // namespace logging

namespace local {
struct Flags {
  Flags();
  alignas(8) unsigned char room[16384];
};
Ignored launch(const Flags& flags, allocator::Allocator* allocator);
}  // namespace local

namespace slave {
class VolumeGidManager;
class CSIServer;
struct Flags {
  Flags();
  flags::FlagsBase* base() { return virtual_base<flags::FlagsBase>(this, 1); }  // the first is that of logging
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
  process::ProcessBase* process() { return virtual_base<process::ProcessBase>(this, 0); }
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

// What the mains of Mesos take by flags of their own, outside of the objects that the library exports.
inline Option<std::string> setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? Option<std::string>() : Option<std::string>(value);
}

inline std::string needed(const char* name) {
  Option<std::string> value = setting(name);
  if (!value.some()) {
    std::fprintf(stderr, "%s is not set\n", name);
    std::exit(2);
  }
  return value.value();
}

// What both daemons begin with: logging, the network (requests without a path go to `delegate`), /version.
inline void begin(char** argv, const std::string& delegate, const std::string& role) {
  using namespace mesos::internal;
  auto* logs = new (room_for<Option<logging::Flags>>()) Option<logging::Flags>();
  logs->make().base()->load(std::string("MESOS_"), 1, argv, false, false).get("flags of logging");
  logging::initialize(argv[0], false, *logs);
  // libprocess reads its address from LIBPROCESS_*; the mains of Mesos take it by flags
  for (const char* name : {"IP", "PORT", "ADVERTISE_IP", "ADVERTISE_PORT"}) {
    Option<std::string> value = setting((std::string("MESOS_") + name).c_str());
    if (value.some()) setenv((std::string("LIBPROCESS_") + name).c_str(), value.value().c_str(), 0);
  }
  process::initialize(delegate, role + "-readwrite", role + "-readonly");
  process::spawn(new (room_for<VersionProcess>()) VersionProcess(), true);
}
