#include "runtime/unused.hpp" // expect: opening, dead-file
