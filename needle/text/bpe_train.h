// Training of byte-pair encoding: which pairs to merge, most frequent first.  (Lesson 06)
#pragma once

#include <string_view>

#include "needle/text/tokenizer.h"

namespace needle::text {

/// Appends the 256 bytes and then one token per merge to parts.tokens until it holds `vocab_size`
/// or no pair of neighbours is left; fills parts.merges. A tie goes to the pair with the smaller
/// ids. Precondition: parts.tokens holds the special tokens only, and there is room for the bytes.
void train_bpe(std::string_view text, size_t vocab_size, TokenizerParts& parts);

}  // namespace needle::text
