// All of weir's public headers.
#pragma once

#include <weir/async_generator.hpp>
#include <weir/bytes.hpp>
#include <weir/concurrent_future.hpp>
#include <weir/config.hpp>
#include <weir/context.hpp>
#include <weir/coro.hpp>
#include <weir/event_loop.hpp>
#include <weir/exception_context.hpp>
#include <weir/exceptions.hpp>
#include <weir/executor.hpp>
#include <weir/future.hpp>
#include <weir/future_base.hpp>
#include <weir/fwd.hpp>
#include <weir/handle.hpp>
#include <weir/log.hpp>
#include <weir/policy.hpp>
#include <weir/ref.hpp>
#include <weir/remote.hpp>
#include <weir/runner.hpp>
#include <weir/sim.hpp>
#include <weir/task.hpp>
#include <weir/task_base.hpp>
#include <weir/tasks.hpp>
#include <weir/version.hpp>
