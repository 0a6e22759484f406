// Connections: the socket side of cpp-httplib's server, with what it lacks.  (Lesson 07)
//
// The library's own connection loop cannot tell a handler that its client has gone, cannot close
// after an early answer, and waits for idle clients when it stops. This one can.
#pragma once

#include <httplib.h>

#include <array>
#include <atomic>
#include <string>

namespace needle::serve::http {

/// One accepted socket, used by one thread. Reads and writes give up after 5 s without progress.
class Connection : public httplib::Stream {
 public:
  explicit Connection(socket_t socket);
  /// Closes the socket. After an early answer it first reads what the client still sends, for a
  /// moment: closing on unread bytes would reset the connection before the answer is read.
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The connection whose request this thread is answering.
  static Connection& current();

  /// The client closed its side. A client that only stops sending counts as gone too.
  bool peer_gone() const;
  /// The connection ends after this answer, because (part of) a body may not have been read.
  void close_after_answer() { close_after_answer_ = true; }
  bool closes_after_answer() const { return close_after_answer_; }
  /// A request has begun to arrive within `milliseconds`.
  bool wait_for_data(int milliseconds) const;

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* data, size_t size) override;
  ssize_t write(const char* data, size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

 private:
  socket_t socket_;
  bool close_after_answer_ = false;
  std::array<char, 4096> buffer_;  // [begin_, end_) has been received but not read
  size_t begin_ = 0;
  size_t end_ = 0;
};

/// httplib's server on such connections.
class ConnectionServer : public httplib::Server {
 public:
  /// A connection without a request closes after this time.
  static constexpr int kKeepAliveSeconds = 2;

  /// Requests being read or answered.
  int active() const { return active_; }
  /// From now on a connection closes after its answer, and idle ones close at once.
  void close_idle() { closing_ = true; }

 private:
  bool process_and_close_socket(socket_t socket) override;

  std::atomic<int> active_{0};
  std::atomic<bool> closing_{false};
};

}  // namespace needle::serve::http
