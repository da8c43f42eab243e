// The defaults of protocols: an event that nobody asked for is ignored, as in asyncio.
#include <weir/net/datagram.hpp>
#include <weir/net/protocol.hpp>

namespace weir::inline WEIR_ABI {

BaseProtocol::~BaseProtocol() = default;
void BaseProtocol::connection_lost(std::exception_ptr) {}
void BaseProtocol::pause_writing() {}
void BaseProtocol::resume_writing() {}

Protocol::~Protocol() = default;
void Protocol::connection_made(Ref<Transport>) {}
void Protocol::data_received(std::span<const std::byte>) {}
bool Protocol::eof_received() { return false; }

BufferedProtocol::~BufferedProtocol() = default;
void BufferedProtocol::connection_made(Ref<Transport>) {}
bool BufferedProtocol::eof_received() { return false; }

DatagramProtocol::~DatagramProtocol() = default;
void DatagramProtocol::connection_made(Ref<DatagramTransport>) {}
void DatagramProtocol::datagram_received(std::span<const std::byte>, const Address&) {}
void DatagramProtocol::error_received(const std::system_error&) {}

}  // namespace weir::inline WEIR_ABI
