# Where the crew's command finds `daqsched serve` of this machine.
export DAQSCHED_SOCKET=/run/daqsched/daqsched.sock
