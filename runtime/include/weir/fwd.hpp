// The names of weir, declared. Include it where a pointer, reference or return type is all you need.
#pragma once

#include <weir/config.hpp>

#include <cstdint>

namespace weir::inline WEIR_ABI {

// runtime
class EventLoop;
class Handle;
class TimerHandle;
class LoopRemote;
class LoopGuest;
class Context;
class Bytes;
class FutureBase;
class TaskBase;
class AnyCoro;
class Runner;
class Timeout;
class TaskGroup;
class Interval;
struct WaitOptions;
class Executor;
class ThreadPoolExecutor;
class AbstractEventLoopPolicy;
class DefaultEventLoopPolicy;
class Lock;
class Event;
class Condition;
class Semaphore;
class BoundedSemaphore;
class Barrier;
struct CallOptions;
struct TaskOptions;
struct RunOptions;
struct ExceptionContext;
struct CapabilityInfo;
template <class T>
class Ref;
template <class T>
class Coro;
template <class T>
class Future;
template <class T>
class Task;
template <class T>
class AsyncGenerator;
template <class T>
class ConcurrentFuture;
template <class T>
class ContextVar;
template <class T>
class Queue;
template <class T>
class LifoQueue;
template <class T, class Order>
class PriorityQueue;

// net
class Address;
class Socket;
class BaseTransport;
class Transport;
class BaseProtocol;
class Protocol;
class BufferedProtocol;
class Server;
class DatagramTransport;
class DatagramProtocol;
class File;
class SSLContext;
class SSLSession;
struct StartTLSOptions;
struct ReceivedDescriptors;
struct AcceptedSocketOptions;
struct ConnectionOptions;
struct DatagramEndpointOptions;
struct SendFileOptions;
struct ServerOptions;
struct UnixConnectionOptions;
struct UnixServerOptions;
class StreamReader;
class StreamReaderProtocol;
class StreamWriter;
class ServiceName;
struct AddrInfo;
struct AddrInfoOptions;
struct ResolverOptions;
enum class NameInfoFlags : std::uint32_t;

// subprocess
class ProcessFunction;
class ProcessPoolExecutor;
class SubprocessProtocol;
class SubprocessTransport;
struct SubprocessOptions;

}  // namespace weir::inline WEIR_ABI
