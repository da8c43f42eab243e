// The drivers. What all have in common is Run: one run of a scenario on a loop, and in a world, of its own.
#include "tests/drivers/drivers.hpp"

#include "tests/drivers/calls.hpp"
#include "tests/drivers/stepper.hpp"
#include "tests/drivers/world.hpp"
#include "tests/support/weir_test.hpp"

#include <weir/weir.hpp>

#include <optional>

namespace weir::testing {

namespace {

using namespace std::chrono_literals;

// Of the loop's time; under sim it costs nothing.
const Duration usual_time_limit = has("real_clock") ? 5s : 1000s;

// The seeds differ in who wins when an operation is cancelled that could be answered.
sim::Options options_of(std::uint64_t seed) {
  sim::Options options;
  options.cancel_loses_chance = static_cast<double>(seed % 3) / 2;
  return options;
}

class Run {
 public:
  Run(const Scenario& scenario, std::uint64_t seed)
      : scenario_(scenario), world_(options_of(seed), seed), descriptors_(open_descriptors()) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() noexcept(false) { end(); }

  // Makes the loop and the task that is the scenario. The constructor of the loop may throw.
  void begin(std::size_t split = 0, std::size_t buffer = 64) {
    loop_ = std::make_unique<EventLoop>();
    loop_->set_exception_handler([this](EventLoop& loop, const ExceptionContext& context) {
      // A server out of descriptors waits for a second: too long where a second is one.
      if (has("real_clock") && context.message.find("accept()") != std::string::npos && task_) {
        loop.call_soon([this] { task_->cancel(); });
      }
    });
    stage_.emplace(*loop_);
    stage_->split = split;
    stage_->buffer = buffer;
    task_.emplace(loop_->create_task(scenario_.body(*stage_), {.name = scenario_.name}));
  }
  EventLoop& loop() noexcept { return *loop_; }
  bool done() const noexcept { return task_->done(); }

  // Runs until the scenario has ended. False when it did not by itself. A shorter limit holds from the moment
  // when a call has failed.
  bool finish(Duration limit = usual_time_limit) {
    late_ = false;
    deadline_ = loop_->time() + usual_time_limit;
    limit_after(limit);
    run_to_end();
    limit_.cancel();
    return !late_;
  }
  const std::string& note() const noexcept { return stage_->note; }
  TaskBase& task() const noexcept { return *static_cast<TaskBase*>(task_->base().get()); }
  // Did the scenario end as if nothing had happened?
  bool undisturbed() const {
    return !task_->cancelled() && task_->exception() == nullptr && task_->result() == scenario_.result;
  }
  std::string outcome() const {
    if (task_->cancelled()) {
      return "cancelled";
    }
    return task_->exception() != nullptr ? describe_exception(task_->exception()) : task_->result();
  }
  void check_alive() {
    bool alive = false;
    try {
      alive = loop_->run_until_complete(is_alive(*loop_));
    } catch (const std::exception& error) {
      FAIL_CHECK("the loop does not go on: " << error.what());
    }
    CHECK_MESSAGE(alive, "the loop has lost bytes");
  }
  // Lets go of the loop in one of the ways there are.
  void leave(std::uint64_t way) {
    if (way % 3 == 0) {
      loop_->close();
    } else if (way % 3 == 1) {
      task_.reset();
    }
    loop_.reset();
  }

 private:
  void limit_after(Duration limit) {
    limit_ = loop_->call_later(limit, [this, limit] {
      if (FaultyCalls::reached() || loop_->time() >= deadline_) {
        late_ = true;
        task_->cancel();
      } else {
        limit_after(limit);
      }
    });
  }
  void run_to_end() {
    try {
      loop_->run_until_complete(*task_);
    } catch (const std::exception&) {
    } catch (const BaseException&) {
    }
  }
  // Everything goes, and is looked for.
  void end() {
    loop_.reset();
    task_.reset();
    if (!stage_) {
      CHECK_MESSAGE(open_descriptors() == descriptors_, "descriptors leaked or lost");
      return;
    }
    if (stage_->executor != nullptr) {
      stage_->executor->shutdown();
      stage_->executor.reset();
    }
    expect(stage_->guards.alive() == 0, "something was not destroyed");
    expect(open_descriptors() == descriptors_, "descriptors leaked or lost");
  }

  const Scenario& scenario_;
  World world_;
  std::size_t descriptors_;
  std::optional<Stage> stage_;
  std::unique_ptr<EventLoop> loop_;
  std::optional<Task<std::string>> task_;
  TimerHandle limit_;
  TimePoint deadline_{};
  bool late_ = false;
};

// The seeds that a run is repeated with, where the seed has a say.
std::uint64_t seeds() {
  return has("real_clock") ? (drivers_run_whole() ? 5 : 1) : (drivers_run_whole() ? 200 : 3);
}

// One run with one fault; false when there is no such call. `errors`: how many errors the call knows.
bool fail_call(const Scenario& scenario, const CallFault& fault, std::uint64_t seed, std::size_t& errors,
               Driven& driven) {
  Run run(scenario, seed);
  const FaultyCalls faulty(fault);
  try {
    run.begin();
  } catch (const std::system_error&) {
    CHECK(FaultyCalls::reached());
    errors = FaultyCalls::error_count();
    return true;
  }
  const bool ended = fault.for_ever && has("real_clock") ? run.finish(20ms) : run.finish();
  FaultyCalls::stop();
  INFO(std::string(scenario.name) << ", seed " << seed << ": " << FaultyCalls::describe());
  INFO("it ended with: " << run.outcome());
  CHECK_MESSAGE((ended || fault.for_ever), "it did not end by itself");
  ++driven.runs;
  driven.undisturbed += run.undisturbed() ? 1 : 0;
  CHECK_MESSAGE((FaultyCalls::reached() || run.undisturbed()), "nothing failed, and yet it did");
  run.check_alive();
  errors = FaultyCalls::error_count();
  return FaultyCalls::reached();
}

}  // namespace

namespace {

Driven fail_calls(const Scenario& scenario, bool for_ever) {
  Driven driven;
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    bool reached = true;
    for (std::uint64_t call = 0; reached; ++call) {
      std::size_t errors = 1;
      // In the short form one of its errors, another one for every call.
      const bool all = !has("real_clock") || drivers_run_whole();
      const std::size_t first = all ? 0 : call + seed;
      for (std::size_t error = first; reached && error < (all ? errors : first + 1); ++error) {
        const CallFault fault{.at = call, .error = error, .for_ever = for_ever};
        reached = fail_call(scenario, fault, seed, errors, driven);
      }
    }
  }
  return driven;
}

}  // namespace

Driven fail_every_call(const Scenario& scenario) { return fail_calls(scenario, false); }
Driven fail_for_ever_from_every_call(const Scenario& scenario) { return fail_calls(scenario, true); }

Driven cut_every_call(const Scenario& scenario) {
  Driven driven;
  if (!can_cut_calls() || !scenario.carries_text) {
    return driven;
  }
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    bool reached = true;
    for (std::uint64_t call = 0; reached; ++call) {
      for (std::size_t most = 1; reached && most < travelling_text.size(); ++most) {
        Run run(scenario, seed);
        const FaultyCalls faulty({.at = call, .data_only = true, .most = most});
        run.begin();
        CHECK(run.finish());
        reached = FaultyCalls::reached();
        FaultyCalls::stop();
        INFO(std::string(scenario.name) << ", seed " << seed << ": " << FaultyCalls::describe());
        CHECK(run.outcome() == std::string(scenario.result));
        ++driven.runs;
        driven.undisturbed += run.undisturbed() ? 1 : 0;
      }
    }
  }
  return driven;
}

Driven split_everywhere(const Scenario& scenario) {
  Driven driven;
  if (!scenario.carries_text) {
    return driven;
  }
  for (std::size_t at = 0; at != travelling_text.size(); ++at) {
    for (std::size_t buffer = 1; buffer <= travelling_text.size(); ++buffer) {
      if (!drivers_run_whole() && at != 0 && buffer != 1 && buffer != at && buffer != at + 1) {
        continue;
      }
      Run run(scenario, 1 + at + buffer);
      run.begin(at, buffer);
      CHECK(run.finish());
      INFO(std::string(scenario.name) << ", split at " << at << ", buffers of " << buffer);
      CHECK(run.outcome() == std::string(scenario.result));
      ++driven.runs;
      driven.undisturbed += run.undisturbed() ? 1 : 0;
    }
  }
  return driven;
}

Driven abandon_at_every_step(const Scenario& scenario) {
  Driven driven;
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    bool reached = true;
    for (std::uint64_t step = 0; reached; ++step) {
      for (std::uint64_t way = 0; reached && way != 3; ++way) {
        INFO(std::string(scenario.name)
             << ", seed " << seed << ", abandoned after callback " << step << ", way " << way);
        Run run(scenario, seed);
        run.begin();
        Stepper stepper(run.loop());
        stepper.leave_at(step);
        stepper.run([&] { return run.done(); });
        reached = stepper.reached();
        ++driven.runs;
        driven.undisturbed += run.done() && run.undisturbed() ? 1 : 0;
        run.leave(way);
      }
    }
  }
  return driven;
}

Driven cancel_at_every_step(const Scenario& scenario) {
  Driven driven;
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    bool reached = true;
    for (std::uint64_t step = 0; reached; ++step) {
      bool is_last = false;
      for (std::size_t which = 0; reached && !is_last; ++which) {
        INFO(std::string(scenario.name)
             << ", seed " << seed << ", task " << which << " cancelled after callback " << step);
        Run run(scenario, seed);
        run.begin();
        is_last = true;
        Stepper stepper(run.loop());
        stepper.at(step, [&] {
          const std::vector<Ref<TaskBase>> tasks = all_tasks(run.loop());
          if (which < tasks.size()) {
            tasks[which]->cancel();
          }
          is_last = which + 1 >= tasks.size();
        });
        stepper.run([&] { return run.done(); });
        reached = stepper.reached();
        ++driven.runs;
        if (run.done()) {
          driven.undisturbed += run.undisturbed() ? 1 : 0;
          run.check_alive();
        }
      }
    }
  }
  return driven;
}

Driven nudge_at_every_step(const Scenario& scenario) {
  Driven driven;
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    bool reached = true;
    for (std::uint64_t step = 0; reached; ++step) {
      for (std::uint64_t distance = 0; reached && distance != 4; ++distance) {
        INFO(std::string(scenario.name) << ", seed " << seed << ", cancelled after callback " << step
                                        << " and again " << distance << " later");
        Run run(scenario, seed);
        run.begin();
        Stepper stepper(run.loop());
        stepper.at(step, [&] {
          run.task().cancel();
          if (distance != 0) {
            stepper.at(step + distance, [&] { run.task().cancel(); });
          }
        });
        stepper.run([&] { return run.done(); });
        reached = stepper.count() != 0;
        CHECK(run.note() == std::string(scenario.result));
        ++driven.runs;
        driven.undisturbed += run.note() == scenario.result ? 1 : 0;
        run.check_alive();
      }
    }
  }
  return driven;
}

}  // namespace weir::testing
