// What a pool and its workers say to each other: frames of twelve bytes, and what these announce.
#pragma once

#include <weir/config.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>

namespace weir::inline WEIR_ABI::detail {

// Where a worker finds the number of its end of the socket.
inline constexpr const char* worker_variable = "WEIR_PROCESS_WORKER";

enum class FrameKind : char {
  hello = 'h',    // of a worker that is ready, before all else
  refusal = 'x',  // instead of it: why there is no worker
  call = 'c',     // of the pool: the size of the name, the name, the input
  result = 'r',
  error = 'e',  // the text of an exception
};

struct FrameHeader {
  FrameKind kind;
  std::size_t size;    // of what follows
  std::size_t number;  // of the job of this worker that it is about; 0 with hello and refusal
};

inline constexpr std::size_t frame_header_size = 12;
inline constexpr std::size_t number_offset = 8;
inline constexpr std::size_t number_size = 4;
inline constexpr std::size_t most_in_a_frame = std::numeric_limits<std::uint32_t>::max();

// Four bytes, the lowest first.
inline void put_number(std::byte* to, std::size_t number) noexcept {
  for (std::size_t i = 0; i != number_size; ++i) {
    to[i] = static_cast<std::byte>(number >> (8 * i) & 0xFF);
  }
}
inline std::size_t get_number(const std::byte* from) noexcept {
  std::size_t number = 0;
  for (std::size_t i = 0; i != number_size; ++i) {
    number |= std::to_integer<std::size_t>(from[i]) << (8 * i);
  }
  return number;
}

// It begins with a name and a version, so that another program is not mistaken for a worker.
inline constexpr char frame_mark[3] = {'w', 'p', '1'};

inline void put_header(std::byte* to, FrameHeader header) noexcept {
  std::memcpy(to, frame_mark, sizeof frame_mark);
  to[sizeof frame_mark] = static_cast<std::byte>(header.kind);
  put_number(to + 4, header.size);
  put_number(to + number_offset, header.number);
}
inline std::optional<FrameHeader> get_header(const std::byte* from) noexcept {
  if (std::memcmp(from, frame_mark, sizeof frame_mark) != 0) {
    return {};
  }
  return FrameHeader{static_cast<FrameKind>(from[sizeof frame_mark]), get_number(from + 4),
                     get_number(from + number_offset)};
}

}  // namespace weir::inline WEIR_ABI::detail
