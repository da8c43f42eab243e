// Knows the contract and no backend.
#include "backends/chosen.hpp"
#include "backends/posix/socket.hpp"   // expect: room
#include "subprocess/process.hpp"      // expect: room
