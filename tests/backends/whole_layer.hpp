// The whole operation layer, for the doubles of a poller, and what they lend from the real system.
#pragma once

#include "backends/posix/files.hpp"
#include "backends/readiness/readiness_datagrams.hpp"
#include "backends/readiness/readiness_handles.hpp"
#include "backends/readiness/readiness_ops.hpp"
#include "backends/readiness/readiness_turn.hpp"
