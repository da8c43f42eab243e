// What a readiness backend remembers about one descriptor, and the table of these. Knows nothing of
// operations or the system.
#pragma once

#include <weir/detail/op.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace weir::inline WEIR_ABI::detail {

// What a poller is asked to report. `edge` asks for changes only; without it a condition is reported as long
// as it lasts. A poller that cannot report changes is asked for `end` in its place: hang-ups and errors, but
// not bytes that nobody will read. Either alone asks for hang-ups and errors, and more may be reported.
using Interest = std::uint8_t;
inline constexpr Interest no_interest = 0, read_interest = 1, write_interest = 2, edge_interest = 4,
                          end_interest = edge_interest;

// What a poller reports. is_ended: a read that stops short is not the last one, because an end, an error or
// urgent data is there. A hang-up or an error comes with both directions.
using Readiness = std::uint8_t;
inline constexpr Readiness is_readable = 1, is_writable = 2, is_ended = 4;

struct BackendHandle {
  // Names this registration of this descriptor: an event that carries an older token belongs to nobody.
  std::uint64_t token() const noexcept { return static_cast<std::uint64_t>(generation) << 32 | slot; }
  bool is_watched() const noexcept { return read_watch != nullptr || write_watch != nullptr; }
  void set_stalled(bool is) noexcept {
    stalled = is;
    note_special();
  }
  // After each change of a watch.
  void note_special() noexcept { special = stalled || is_watched(); }
  Op*& op(Direction direction) noexcept { return direction == Direction::read ? reader : writer; }
  Watch*& watch(Direction direction) noexcept {
    return direction == Direction::read ? read_watch : write_watch;
  }

  // What is known of the system: hints, which may be wrong to the optimistic side while not registered; the
  // system call then says EAGAIN. is_ended: an end, an error or urgent data is still to be read.
  bool knows(Readiness what) const noexcept { return (state & what) != 0; }
  void learn(Readiness what) noexcept { state = static_cast<std::uint8_t>(state | what); }
  void unlearn(Readiness what) noexcept { state = static_cast<std::uint8_t>(state & ~what); }
  // What was reported and not yet handed to the watches: is_readable, is_writable.
  Readiness fired() const noexcept { return (state >> fired_shift) & 3; }
  void set_fired(Readiness what) noexcept {
    state = static_cast<std::uint8_t>((state & ~(3 << fired_shift)) | what << fired_shift);
  }
  Interest registered() const noexcept { return static_cast<Interest>(state >> registered_shift); }
  void set_registered(Interest interest) noexcept {
    state = static_cast<std::uint8_t>((state & ~(7 << registered_shift)) | interest << registered_shift);
  }

  static constexpr int fired_shift = 3, registered_shift = 5;

  void* backend = nullptr;          // while free: the next free handle
  BackendHandle** owner = nullptr;  // of an attached socket
  Op* reader = nullptr;
  Op* writer = nullptr;
  Watch* read_watch = nullptr;
  Watch* write_watch = nullptr;
  native_socket native = invalid_socket;
  std::uint32_t generation = 0;
  std::uint32_t slot : 22 = 0;
  // An end of a pipe, or used as one, needs other system calls than a socket of which nobody thinks so.
  std::uint32_t pipe : 1 = 0;
  std::uint32_t write_only : 1 = 0;
  std::uint32_t is_socket : 1 = 0;
  std::uint32_t unpollable : 1 = 0;  // a device that the poller refuses: always ready
  std::uint32_t kind_known : 1 = 0;
  // A read that stops short has taken everything: so it is with TCP. One from a Unix socket also stops behind
  // a message that carries descriptors.
  std::uint32_t drained_when_short : 1 = 0;
  std::uint32_t joined : 1 = 0;  // the system moves several of its datagrams as one
  // Of a poller that takes operations: does it take those of this socket, and has it the writer now?
  std::uint32_t adoption_known : 1 = 0;
  std::uint32_t adopted : 1 = 0;
  std::uint32_t writer_given : 1 = 0;
  // Answers of this handle in the ready queue. A closed socket keeps its number until there are none.
  std::uint16_t unanswered = 0;
  // Three small sets in one byte, so that an event is noted by one instruction.
  std::uint8_t state = is_readable | is_writable;
  bool special : 1 = false;   // watched or stalled: its events need a closer look
  bool attached : 1 = false;  // a socket of net/; otherwise a descriptor that is only watched
  bool transport : 1 = false;
  bool closing : 1 = false;   // ended by its owner; waits for the last answer
  bool detached : 1 = false;  // the number is not ours to close
  bool doubtful : 1 = false;  // the registration may be that of an earlier descriptor with this number
  bool queued : 1 = false;    // an item of this handle is in the ready queue
  bool stalled : 1 = false;   // readable, but the reader had no buffer to offer: until news or another start
};
static_assert(sizeof(void*) != 8 || sizeof(native_socket) != 4 || sizeof(BackendHandle) == 64);

// Handles in slabs that live as long as the table, because events and queued items point at them long after
// they were closed. A handle that is used again has a new generation.
class HandleTable {
 public:
  // Is it a number that the system gives to sockets, and the table has a place for? Windows' handles are
  // small multiples of four.
  static constexpr bool is_possible(native_socket native) noexcept {
    return std::is_signed_v<native_socket>
               ? static_cast<std::int64_t>(native) >= 0
               : static_cast<std::uint64_t>(native) < most_numbers * number_step &&
                     static_cast<std::uint64_t>(native) % number_step == 0;
  }
  // A handle for this number, which must have none. Throws std::bad_alloc.
  BackendHandle& acquire(native_socket native, void* backend);
  // The number is forgotten and events of before belong to nobody; the handle stays out of use until
  // recycle().
  void retire(BackendHandle& handle) noexcept;
  void recycle(BackendHandle& handle) noexcept;

  BackendHandle* find(native_socket native) noexcept;
  // The handle that a token names, or null when it names an earlier registration.
  BackendHandle* find_token(std::uint64_t token) noexcept {
    const std::uint32_t slot = token & 0xffffffff;
    if (slot >= slots_) [[unlikely]] {
      return nullptr;
    }
    BackendHandle& handle = slabs_[slot / slab_size][slot % slab_size];
    return handle.generation == token >> 32 ? &handle : nullptr;
  }
  // Calls each with every handle that is in use or waits for its last answer.
  template <class Each>
  void for_each(Each each) {
    for (auto& slab : slabs_) {
      for (std::size_t i = 0; i < slab_size; ++i) {
        if (slab[i].native != invalid_socket) {
          each(slab[i]);
        }
      }
    }
  }

 private:
  static constexpr std::size_t slab_size = 256;
  static constexpr std::uint64_t most_numbers = std::uint64_t{1} << 24;
  static constexpr std::uint64_t number_step = std::is_signed_v<native_socket> ? 1 : 4;

  static std::size_t place_of(native_socket native) noexcept {
    return static_cast<std::size_t>(native) / number_step;
  }

  void grow();

  std::vector<std::unique_ptr<BackendHandle[]>> slabs_;
  std::uint32_t slots_ = 0;  // in all slabs
  std::vector<BackendHandle*> by_number_;
  BackendHandle* free_ = nullptr;
};

}  // namespace weir::inline WEIR_ABI::detail
