// The defaults of transports: an operation that a kind of transport does not have is refused.
#include <weir/exceptions.hpp>
#include <weir/net/transport.hpp>

#include <utility>

namespace weir::inline WEIR_ABI {

BaseTransport::~BaseTransport() = default;
void BaseTransport::set_protocol(Ref<BaseProtocol>) { throw NotSupportedError("set_protocol"); }
void BaseTransport::find_extra_info(std::string_view, void*) const {}

Transport::~Transport() = default;
void Transport::pause_reading() { throw NotSupportedError("pause_reading"); }
void Transport::resume_reading() { throw NotSupportedError("resume_reading"); }
void Transport::write(std::span<const std::byte>) { throw NotSupportedError("write"); }
void Transport::write(Bytes&& data) {
  const Bytes taken = std::move(data);
  write(std::span<const std::byte>(taken));
}
void Transport::writelines(std::span<const std::span<const std::byte>> pieces) {
  for (const std::span<const std::byte> piece : pieces) {
    write(piece);
  }
}
void Transport::write_eof() { throw NotSupportedError("write_eof"); }
void Transport::set_write_buffer_limits(std::optional<std::ptrdiff_t>, std::optional<std::ptrdiff_t>) {
  throw NotSupportedError("set_write_buffer_limits");
}

DatagramTransport::~DatagramTransport() = default;

}  // namespace weir::inline WEIR_ABI
