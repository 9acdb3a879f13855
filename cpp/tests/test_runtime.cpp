// Workers, their memory and their state; the memory plan; attributes.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "../runtime/team.hpp"
#include "check.hpp"
#include "cnnfast/backend.hpp"
#include "cnnfast/fork.hpp"
#include "cnnfast/parallel.hpp"
#include "cnnfast/program.hpp"

namespace cnnfast::tests {
namespace {

template <class F>
void parallel(std::int64_t tasks, const F& f) {
  parallel_for(
      tasks, [](void* context, std::int64_t task, int worker) { (*static_cast<const F*>(context))(task, worker); },
      const_cast<F*>(&f));
}

// Runs f with each number of threads.
template <class F>
void with_threads(std::initializer_list<int> counts, const F& f) {
  const int before = num_threads();
  for (const int threads : counts) {
    set_num_threads(threads);
    f(threads);
  }
  set_num_threads(before);
}

bool flushes_denormals() {
  volatile float tiny = std::numeric_limits<float>::min();
  volatile float half = tiny * 0.5f;
  volatile float denormal = std::numeric_limits<float>::denorm_min();
  volatile float doubled = denormal * 1e30f;  // 0 where a denormal operand counts as 0
  return half == 0.0f && doubled == 0.0f;
}

}  // namespace

TEST(runtime, every_task_runs_once_on_a_worker_below_the_number_of_threads) {
  with_threads({1, 2, 4, 7}, [](int threads) {
    for (const std::int64_t tasks : {0, 1, 2, 3, 100, 5000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks));
      std::atomic<bool> in_range{true};
      parallel(tasks, [&](std::int64_t task, int worker) {
        ++runs[static_cast<std::size_t>(task)];
        if (worker < 0 || worker >= threads) in_range = false;
      });
      for (const auto& count : runs) CHECK(count == 1, "with ", threads, " threads, ", tasks, " tasks");
      CHECK(in_range, "with ", threads, " threads");
    }
  });
}

TEST(runtime, regions_in_quick_succession_run_each_task_once) {
  constexpr int kTasks = 9;
  std::vector<std::atomic<int>> runs(kTasks);
  for (int region = 1; region <= 5000; ++region) {
    with_threads({2 + region % 3}, [&](int) {
      parallel(1 + region % kTasks, [&](std::int64_t task, int) { ++runs[static_cast<std::size_t>(task)]; });
    });
  }
  for (int task = 0; task < kTasks; ++task) {
    int expected = 0;
    for (int region = 1; region <= 5000; ++region) expected += task < 1 + region % kTasks;
    CHECK(runs[static_cast<std::size_t>(task)] == expected, "task ", task);
  }
}

TEST(runtime, a_worker_takes_its_own_range_of_tasks_and_then_what_others_left) {
  const auto ranges = std::make_unique<TaskRanges>();
  ranges->open(3, 10, nullptr, nullptr);  // 0 1 2, 3 4 5, 6 7 8 9
  CHECK((*ranges)[2].take() == 6 && ranges->take(1) == 3 && ranges->take(1) == 4 && ranges->take(1) == 5);
  for (const std::int64_t task : {7, 8, 9, 0, 1, 2}) CHECK(ranges->take(1) == task);
  CHECK(ranges->take(0) == -1 && ranges->take(1) == -1 && (*ranges)[2].take() == -1);
  ranges->open(2, 2, nullptr, nullptr);
  CHECK((*ranges)[2].take() == -1, "a worker that takes no part");
  CHECK((*ranges)[1].take() == 1 && ranges->take(1) == 0 && ranges->take(0) == -1);
}

TEST(runtime, exception_of_a_task_reaches_the_caller_and_the_next_region_works) {
  with_threads({1, 2, 4}, [](int threads) {
    const auto fail = [](std::int64_t task, int) {
      if (task == 3) throw std::runtime_error("task three");
    };
    CHECK(throws<std::runtime_error>("task three", [&] { parallel(50, fail); }), "with ", threads, " threads");
    std::atomic<int> done{0};
    parallel(50, [&](std::int64_t, int) { ++done; });
    CHECK(done == 50, "with ", threads, " threads");
  });
}

TEST(runtime, nested_region_is_refused) {
  with_threads({1, 2}, [](int threads) {
    const auto nested = [] { parallel(4, [](std::int64_t, int) { parallel(4, [](std::int64_t, int) {}); }); };
    CHECK(throws<std::logic_error>("another parallel region", nested), "with ", threads, " threads");
  });
}

TEST(runtime, regions_of_several_callers_take_turns) {
  with_threads({2}, [](int) {
    std::atomic<int> done{0};
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i)
      callers.emplace_back([&] {
        for (int round = 0; round < 50; ++round) parallel(8, [&](std::int64_t, int) { ++done; });
      });
    for (std::thread& caller : callers) caller.join();
    CHECK(done == 4 * 50 * 8);
  });
}

TEST(runtime, forked_child_computes) {
  with_threads({2}, [](int) {
    parallel(8, [](std::int64_t, int) {});  // so that the parent has helpers, which the child will lack
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // a hang would end here
      std::atomic<int> done{0};
      parallel(64, [&](std::int64_t, int) { ++done; });
      _exit(done == 64 ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "with status ", status);
  });
}

TEST(runtime, fork_waits_for_the_regions_of_other_threads_and_the_child_computes) {
  with_threads({1, 2}, [](int threads) {
    std::atomic<int> begun{0}, done{0};
    std::thread other([&] {
      for (int round = 0; round < 20; ++round) {
        const DelayForks delay;
        const int before = begun++;
        parallel(4, [](std::int64_t, int) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); });
        done = before + 1;
      }
    });
    while (begun == 0) std::this_thread::yield();
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // a hang would end here
      if (begun != done) _exit(2);
      std::atomic<int> tasks{0};
      parallel(64, [&](std::int64_t, int) { ++tasks; });
      _exit(tasks == 64 ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "with status ", status, " and ", threads, " threads");
    other.join();
  });
}

TEST(runtime, forks_of_several_threads_at_once_all_get_through) {
  alarm(60);  // a hang would end here
  std::atomic<bool> over{false};
  std::vector<std::thread> computing, forking;
  for (int i = 0; i < 3; ++i)
    computing.emplace_back([&] {
      while (!over) {
        const DelayForks delay;
        std::this_thread::sleep_for(std::chrono::microseconds(300));
      }
    });
  std::atomic<int> children{0};
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 3; ++i)
      forking.emplace_back([&] {
        const pid_t child = fork();
        if (child == 0) _exit(0);
        children += waitpid(child, nullptr, 0) == child;
      });
    for (std::thread& thread : forking) thread.join();
    forking.clear();
  }
  over = true;
  for (std::thread& thread : computing) thread.join();
  alarm(0);
  CHECK(children == 30, "but ", children);
}

// A group of its own: QEMU's emulation of a process dies of a stack that cannot be had.
TEST(native, threads_that_cannot_be_made_are_done_without) {
  pthread_attr_t before, huge;
  CHECK(pthread_getattr_default_np(&before) == 0 && pthread_getattr_default_np(&huge) == 0);
  CHECK(pthread_attr_setstacksize(&huge, std::size_t{1} << 46) == 0);  // no stack of that size can be had
  CHECK(pthread_setattr_default_np(&huge) == 0);
  with_threads({600, 2, 1024}, [](int threads) {
    for (int round = 0; round < 3; ++round) {
      std::atomic<int> done{0};
      parallel(2000, [&](std::int64_t, int) { ++done; });
      CHECK(done == 2000, "with ", threads, " threads");
    }
  });
  CHECK(pthread_setattr_default_np(&before) == 0);
  CHECK(pthread_attr_destroy(&huge) == 0 && pthread_attr_destroy(&before) == 0);
}

TEST(runtime, workers_flush_denormals_and_the_caller_is_left_as_it_was) {
  CHECK(!flushes_denormals());
  with_threads({1, 2, 4}, [](int threads) {
    std::atomic<int> flushed{0};
    parallel(64, [&](std::int64_t, int) { flushed += flushes_denormals(); });
    CHECK(flushed == 64, "with ", threads, " threads");
    CHECK(!flushes_denormals(), "with ", threads, " threads");
    const auto fail = [](std::int64_t, int) { throw std::runtime_error("stop"); };
    CHECK(throws<std::runtime_error>("stop", [&] { parallel(8, fail); }));
    CHECK(!flushes_denormals(), "after an exception, with ", threads, " threads");
  });
}

TEST(runtime, scratch_is_aligned_kept_and_each_workers_own) {
  with_threads({4}, [](int) {
    std::mutex lock;
    std::set<std::pair<int, float*>> seen;
    std::atomic<bool> good{true};
    parallel(200, [&](std::int64_t task, int worker) {
      float* a = worker_scratch(worker, 0, 100 + task % 7 * 1000);
      float* b = worker_scratch(worker, 1, 64);
      const auto value = static_cast<float>(task);
      for (std::int64_t i = 0; i < 100 + task % 7 * 1000; ++i) a[i] = value;
      for (int i = 0; i < 64; ++i) b[i] = -value;
      for (std::int64_t i = 0; i < 100 + task % 7 * 1000; ++i) good = good && a[i] == value;
      good = good && reinterpret_cast<std::uintptr_t>(a) % 64 == 0 && worker_scratch(worker, 1, 10) == b;
      const std::lock_guard<std::mutex> guard(lock);
      seen.insert({worker, b});
    });
    CHECK(good);
    std::set<int> workers;
    std::set<float*> blocks;
    for (const auto& [worker, block] : seen) workers.insert(worker), blocks.insert(block);
    CHECK(seen.size() == workers.size() && seen.size() == blocks.size(), "for ", workers.size(), " workers");
  });
}

TEST(runtime, number_of_threads_out_of_range_is_refused_and_changes_nothing) {
  const int before = num_threads();
  for (const int threads : {0, -1, 1025})
    CHECK(throws<std::invalid_argument>(std::to_string(threads), [&] { set_num_threads(threads); }));
  CHECK(num_threads() == before);
}

TEST(runtime, planned_blocks_that_live_together_do_not_overlap) {
  std::mt19937 generator(11);
  const auto draw = [&](std::int64_t below) {
    return static_cast<std::int64_t>(generator() % static_cast<std::uint32_t>(below));
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<Lifetime> blocks(static_cast<std::size_t>(draw(60)));
    std::int64_t largest = 0, sum = 0;
    for (Lifetime& b : blocks) {
      const std::int64_t first = draw(40);
      b = {draw(5000), first, first + draw(10)};
      largest = std::max(largest, b.bytes);
      sum += (b.bytes + 63) / 64 * 64;
    }
    std::vector<std::int64_t> offsets;
    const std::int64_t total = plan_memory(blocks, offsets);
    CHECK(offsets.size() == blocks.size());
    CHECK(largest <= total && total <= sum, "total ", total);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      CHECK(offsets[i] >= 0 && offsets[i] % 64 == 0 && offsets[i] + blocks[i].bytes <= total, "block ", i);
      for (std::size_t j = 0; j < i; ++j) {
        const bool together = blocks[i].first <= blocks[j].last && blocks[j].first <= blocks[i].last;
        const bool apart = offsets[i] + blocks[i].bytes <= offsets[j] || offsets[j] + blocks[j].bytes <= offsets[i];
        CHECK(!together || apart, "blocks ", i, " and ", j, " in round ", round);
      }
    }
  }
}

TEST(runtime, planned_memory_is_reused_by_blocks_that_follow_each_other) {
  std::vector<std::int64_t> offsets;
  CHECK(plan_memory({{640, 0, 1}, {640, 1, 2}, {640, 2, 3}, {640, 3, 4}}, offsets) == 2 * 640);
}

TEST(runtime, arena_is_zero_aligned_and_may_be_empty) {
  const Arena arena(100000), none(0);
  CHECK(reinterpret_cast<std::uintptr_t>(arena.data()) % 64 == 0);
  for (std::int64_t i = 0; i < arena.bytes(); ++i) CHECK(arena.data()[i] == 0, "at ", i);
  CHECK(none.bytes() == 0);
}

TEST(runtime, attributes_name_what_is_missing_or_of_the_wrong_kind) {
  Attributes a;
  a.set("rate", 0.5), a.set("axis", std::int64_t{3}), a.set("mode", std::string("nearest"));
  a.set("strides", std::vector<std::int64_t>{1, 2});
  CHECK(a.real("rate") == 0.5f && a.real("axis") == 3.0f && a.integer("axis") == 3);
  CHECK(a.text("mode") == "nearest" && a.list("strides").size() == 2);
  CHECK(a.integer("groups", 7) == 7 && a.integer("axis", 7) == 3);
  CHECK(throws<std::invalid_argument>("'groups' is missing", [&] { a.integer("groups"); }));
  CHECK(throws<std::invalid_argument>("'rate' is not an integer", [&] { a.integer("rate"); }));
  CHECK(throws<std::invalid_argument>("'mode' is not an integer", [&] { a.real("mode"); }));
  CHECK(throws<std::invalid_argument>("'axis' is not a text", [&] { a.text("axis"); }));
  CHECK(throws<std::invalid_argument>("'mode' is not a list", [&] { a.list("mode"); }));
}

TEST(runtime, program_refuses_buffers_and_steps_outside_its_memory) {
  const auto program = [](std::int64_t offset, int in, int out) {
    OpSpec spec;
    spec.op = "relu";
    spec.in = spec.out = {{Dtype::float32, {16}}};
    spec.in_present = {true};
    std::vector<Program::Buffer> buffers(2);
    buffers[0].spec = buffers[1].spec = spec.in[0];
    buffers[0].offset = 0, buffers[1].offset = offset;
    cpu_backend().make_program(buffers, {{make_step(spec), {in}, {out}, 0}}, 128);
  };
  program(64, 0, 1);
  CHECK(throws<std::invalid_argument>("ends past the arena", [&] { program(65, 0, 1); }));
  CHECK(throws<std::invalid_argument>("no buffer 2", [&] { program(64, 2, 1); }));
  CHECK(throws<std::invalid_argument>("no buffer -1", [&] { program(64, 0, -1); }));
}

}  // namespace cnnfast::tests
