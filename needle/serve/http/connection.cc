// Socket input and output, and the loop over the requests of a connection.  (Lesson 07)
#include "needle/serve/http/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace needle::serve::http {
namespace {

constexpr int kTimeoutMs = 5000;  // without progress while reading or writing
constexpr int kLingerMs = 2000;   // reading on after an early answer
constexpr int kSliceMs = 50;      // how often an idle connection looks at closing_

thread_local Connection* current_connection = nullptr;

/// The events of `events` that are there within the time; errors count as events.
short poll_socket(socket_t socket, short events, int milliseconds) {
  pollfd entry{socket, events, 0};
  int result;
  do {
    result = ::poll(&entry, 1, milliseconds);
  } while (result < 0 && errno == EINTR);
  return result > 0 ? entry.revents : 0;
}

/// Numeric address and port of one end of a socket, by getpeername or getsockname.
template <class GetName>
void describe(socket_t socket, GetName get_name, std::string& ip, int& port) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (get_name(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return;
  char host[NI_MAXHOST];
  char service[NI_MAXSERV];
  if (getnameinfo(reinterpret_cast<sockaddr*>(&address), length, host, sizeof host, service,
                  sizeof service, NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
    ip = host;
    port = std::atoi(service);
  }
}

}  // namespace

Connection::Connection(socket_t socket) : socket_(socket) {
  const int yes = 1;  // small frames go out at once
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  current_connection = this;
}

Connection::~Connection() {
  current_connection = nullptr;
  if (close_after_answer_) {
    ::shutdown(socket_, SHUT_WR);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kLingerMs);
    std::array<char, 65536> sink;
    while (std::chrono::steady_clock::now() < end && poll_socket(socket_, POLLIN, kSliceMs * 4)) {
      if (::recv(socket_, sink.data(), sink.size(), MSG_DONTWAIT) <= 0) break;
    }
  }
  ::shutdown(socket_, SHUT_RDWR);
  ::close(socket_);
}

Connection& Connection::current() { return *current_connection; }

bool Connection::peer_gone() const {
  return poll_socket(socket_, POLLRDHUP, 0) & (POLLRDHUP | POLLHUP | POLLERR);
}

bool Connection::wait_for_data(int milliseconds) const {
  return begin_ < end_ || poll_socket(socket_, POLLIN, milliseconds);
}

bool Connection::is_readable() const { return wait_for_data(kTimeoutMs); }

bool Connection::is_writable() const {
  return !peer_gone() && (poll_socket(socket_, POLLOUT, kTimeoutMs) & POLLOUT);
}

ssize_t Connection::read(char* data, size_t size) {
  if (begin_ == end_) {
    if (!is_readable()) return -1;
    const ssize_t received = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (received <= 0) return received;
    begin_ = 0;
    end_ = static_cast<size_t>(received);
  }
  const size_t count = std::min(size, end_ - begin_);
  std::memcpy(data, buffer_.data() + begin_, count);
  begin_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* data, size_t size) {
  if (!(poll_socket(socket_, POLLOUT, kTimeoutMs) & POLLOUT)) return -1;
  return ::send(socket_, data, size, MSG_NOSIGNAL);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  describe(socket_, ::getpeername, ip, port);
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  describe(socket_, ::getsockname, ip, port);
}

/// Serves requests until the client, a fault or the end of the server closes the connection. The
/// first request of a connection is answered even while the server is closing: with a 503.
bool ConnectionServer::process_and_close_socket(socket_t socket) try {
  struct Count {
    std::atomic<int>& active;
    explicit Count(std::atomic<int>& counter) : active(counter) { ++active; }
    ~Count() { --active; }
  };
  // Ranges are cleared: no route serves parts of an answer, and the library would cut any.
  auto prepare = [](httplib::Request& request) { request.ranges.clear(); };

  Connection connection(socket);
  bool first = true;
  int idle_ms = 0;
  while (idle_ms < kKeepAliveSeconds * 1000 && (first || !closing_)) {
    if (!connection.wait_for_data(kSliceMs)) {
      idle_ms += kSliceMs;
      continue;
    }
    const Count count(active_);
    const bool last = closing_;
    bool closed = false;
    const bool answered = process_request(connection, last, closed, prepare);
    if (!answered || last || closed || connection.closes_after_answer()) break;
    first = false;
    idle_ms = 0;
  }
  return true;
} catch (const std::exception&) {
  return false;  // no memory for this request; the connection is closed, the server lives on
}

}  // namespace needle::serve::http
