// `weir serve`: the files of a folder over HTTP/1.1, by streams and EventLoop::sendfile.
#include "tools/weir/folder.hpp"
#include "tools/weir/http.hpp"
#include "tools/weir/verbs.hpp"

#include <weir/handle.hpp>
#include <weir/net/sendfile.hpp>
#include <weir/net/stream_reader.hpp>
#include <weir/net/stream_writer.hpp>
#include <weir/policy.hpp>

#include <system_error>
#include <utility>

namespace program {

namespace {

using weir::Coro;
using weir::EventLoop;
using weir::Ref;

constexpr std::ptrdiff_t longest_head = 16 * 1024;
constexpr std::uint64_t slowest_transfer = 10 * 1024;  // bytes a second, before a client counts as gone

// Drops a connection on which nothing happens for too long.
class Patience {
 public:
  Patience(EventLoop& loop, Ref<weir::Transport> transport, std::chrono::nanoseconds idle)
      : loop_(loop), transport_(std::move(transport)), idle_(idle) {
    begin();
  }
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;
  ~Patience() { timer_.cancel(); }

  // From now on, with the time that it may take to send so much.
  void begin(std::uint64_t bytes = 0) {
    timer_.cancel();
    const std::chrono::seconds sending(static_cast<std::int64_t>(bytes / slowest_transfer));
    timer_ = loop_.call_later(idle_ + sending, [this] { transport_->abort(); });
  }

 private:
  EventLoop& loop_;
  Ref<weir::Transport> transport_;
  std::chrono::nanoseconds idle_;
  weir::TimerHandle timer_;
};

// One answer: what stands in its head, and which part of the file follows.
struct Answer {
  HttpStatus status = 200;
  std::string fields = {};  // besides those that all have; each with its end of line
  ByteRange part = {};
  std::string text = {};  // instead of the file
};

Answer error_answer(HttpStatus status) {
  Answer answer{.status = status};
  answer.text = std::to_string(status) + ' ' + std::string(reason_of(status)) + '\n';
  answer.fields = "Content-Type: text/plain; charset=utf-8\r\n";
  if (status == 405) {
    answer.fields += "Allow: GET, HEAD\r\n";
  }
  return answer;
}

Answer file_answer(const HttpRequest& request, const Found& found) {
  Answer answer;
  const std::string modified = http_date(found.modified);
  answer.fields = "Last-Modified: " + modified + "\r\n";
  if (request.if_modified_since == modified) {
    answer.status = 304;
    return answer;
  }
  answer.fields += "Accept-Ranges: bytes\r\nContent-Type: " + std::string(found.type) + "\r\n";
  answer.part = {0, found.size};
  const bool range_counts =
      !request.range.empty() && (request.if_range.empty() || request.if_range == modified);
  const std::optional<ByteRange> range = range_counts ? read_range(request.range, found.size) : std::nullopt;
  if (!range) {
    return answer;
  }
  const std::string size = std::to_string(found.size);
  if (range->count == 0) {
    answer = error_answer(416);
    answer.fields += "Content-Range: bytes */" + size + "\r\n";
    return answer;
  }
  answer.status = 206;
  answer.part = *range;
  answer.fields += "Content-Range: bytes " + std::to_string(range->offset) + '-' +
                   std::to_string(range->offset + range->count - 1) + '/' + size + "\r\n";
  return answer;
}

// A location in which no byte can end the line or be taken for a query.
std::string encoded(std::string_view path) {
  constexpr std::string_view plain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/!$&'()*+,;=:@";
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string text;
  for (const char c : path) {
    if (plain.find(c) != std::string_view::npos) {
      text += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      text += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return text;
}

std::string head_of(const Answer& answer, bool keep_alive) {
  std::string head =
      "HTTP/1.1 " + std::to_string(answer.status) + ' ' + std::string(reason_of(answer.status));
  head +=
      "\r\nDate: " + http_date(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now())) +
      "\r\n";
  head += answer.fields;
  if (answer.status != 304) {
    head +=
        "Content-Length: " + std::to_string(answer.text.empty() ? answer.part.count : answer.text.size()) +
        "\r\n";
  }
  head += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  return head;
}

// One client. The task ends with the connection.
class Client {
 public:
  Client(EventLoop& loop, const Folder& folder, const ServePlan& plan, Ref<weir::StreamReader> reader,
         Ref<weir::StreamWriter> writer)
      : loop_(loop),
        folder_(folder),
        reader_(std::move(reader)),
        writer_(std::move(writer)),
        patience_(loop, writer_->transport(), plan.idle_timeout) {}

  Coro<void> serve() {
    try {
      while (co_await answer_one()) {
        patience_.begin();
      }
    } catch (const weir::IncompleteReadError&) {
      // It has ended where a request could begin, or in the middle of one.
    } catch (const std::system_error&) {
      // It went away while it was answered: its business.
    }
    writer_->close();
  }

 private:
  // False: the connection is to be closed.
  Coro<bool> answer_one() {
    std::variant<HttpRequest, HttpStatus> read = 431;
    try {
      const weir::Bytes head = co_await reader_->readuntil("\r\n\r\n");
      read = read_request(head.view());
    } catch (const weir::LimitOverrunError&) {
    }
    if (const HttpStatus* const refused = std::get_if<HttpStatus>(&read)) {
      const Answer answer = error_answer(*refused);
      writer_->write(head_of(answer, false) + answer.text);
      co_return false;
    }
    const HttpRequest request = std::move(std::get<HttpRequest>(read));
    Found found = folder_.find(request.path);
    Answer answer = found.status == 200 ? file_answer(request, found) : error_answer(found.status);
    if (found.status == 301) {
      answer.fields += "Location: " + encoded(request.path) + "/\r\n";
    }
    co_await send(request, answer, found.file);
    co_return request.keep_alive;
  }

  Coro<void> send(const HttpRequest& request, const Answer& answer, weir::File& file) {
    writer_->write(head_of(answer, request.keep_alive));
    if (request.head_only) {
      co_return;
    }
    writer_->write(answer.text);
    if (answer.text.empty() && answer.part.count != 0) {
      patience_.begin(answer.part.count);
      const std::uint64_t sent =
          co_await loop_.sendfile(writer_->transport(), file,
                                  {.offset = static_cast<std::int64_t>(answer.part.offset),
                                   .count = static_cast<std::int64_t>(answer.part.count)});
      if (sent != answer.part.count) {
        writer_->transport()->abort();  // it has become shorter: what was promised cannot come any more
      }
    }
    co_await writer_->drain();
  }

  EventLoop& loop_;
  const Folder& folder_;
  Ref<weir::StreamReader> reader_;
  Ref<weir::StreamWriter> writer_;
  Patience patience_;
};

Coro<void> serve_client(EventLoop& loop, const Folder& folder, const ServePlan& plan,
                        Ref<weir::StreamReader> reader, Ref<weir::StreamWriter> writer) {
  Client client(loop, folder, plan, std::move(reader), std::move(writer));
  co_await client.serve();
}

}  // namespace

Coro<int> serve(const Serving& serving, const ServePlan& plan) {
  EventLoop& loop = weir::get_running_loop();
  const Folder folder(plan.folder);
  const auto answer = [&loop, &folder, &plan](Ref<weir::StreamReader> reader,
                                              Ref<weir::StreamWriter> writer) {
    return serve_client(loop, folder, plan, std::move(reader), std::move(writer));
  };
  const ProtocolFactory factory = [&loop, handler = weir::stream_handler(answer)] {
    return weir::make_ref<weir::StreamReaderProtocol>(weir::make_ref<weir::StreamReader>(loop, longest_head),
                                                      handler);
  };
  co_await serve_protocols(loop, serving, factory);
  co_return 0;
}

}  // namespace program
