// Threads, and scratch memory of each. The only place that knows oneTBB.  (Lesson 04)
#pragma once

#include <cstddef>
#include <cstdint>

namespace needle {

using PieceBody = void (*)(void* context, int64_t piece);
/// body(0) ... body(pieces - 1), each once, on several threads; returns when all are done, and throws
/// if one of them threw. One piece alone runs here.
void run_pieces(int64_t pieces, PieceBody body, void* context);

/// piece(0) ... piece(pieces - 1).
template <class Piece>
void run_pieces(int64_t pieces, const Piece& piece) {
  run_pieces(
      pieces, [](void* f, int64_t i) { (*static_cast<const Piece*>(f))(i); },
      const_cast<Piece*>(&piece));
}

/// How many pieces can run at a time now: the number of threads; 1 inside a running piece.
int64_t max_pieces();

/// At least `bytes` of 64-byte aligned memory of this thread; number `which` (0 to 5) of several, and
/// inside a piece another than outside.
/// It stays until the thread ends: kernels in a loop allocate nothing. Contents are undefined.
void* scratch(int which, size_t bytes);

}  // namespace needle
