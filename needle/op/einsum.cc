// einsum: sums of products, written with one letter an axis.  (Lesson 03)
//
// Operands are taken in from left to right. Two of them become one matrix product: letters of both
// that are needed later are its batch axes, letters of both that are not are summed over.
#include <algorithm>
#include <map>
#include <string>

#include "needle/op/op.h"

namespace needle {
namespace {

/// A tensor and the letter of each of its axes. The axes of an ellipsis are called '0', '1', ...
/// from the right.
struct Term {
  Tensor tensor;
  std::string letters;
};

bool has(const std::string& letters, char c) { return letters.find(c) != std::string::npos; }

[[noreturn]] void fail(const std::string& subscripts, const std::string& what) {
  throw ValueError(str("einsum: \"", subscripts, "\": ", what));
}

/// Splits "ij,jk->ik" into its operands and, behind the arrow if there is one, its result.
struct Subscripts {
  std::vector<std::string> operands;
  std::string result;
  bool arrow = false;

  explicit Subscripts(const std::string& text) {
    std::string part;
    for (size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (c == ' ') continue;
      if (text.compare(i, 3, "...") == 0) {
        if (has(part, '.')) fail(text, "two ellipses in one operand");
        part += '.';
        i += 2;
      } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        part += c;
      } else if (c == ',' && !arrow) {
        operands.push_back(std::exchange(part, {}));
      } else if (text.compare(i, 2, "->") == 0 && !arrow) {
        arrow = true;
        operands.push_back(std::exchange(part, {}));
        ++i;
      } else {
        fail(text, str("unexpected '", c, "'"));
      }
    }
    if (arrow) {
      result = part;
    } else {
      operands.push_back(part);
    }
  }
};

/// '.' replaced by names for the `count` axes that it stands for.
std::string expand(const std::string& letters, int count) {
  std::string axes;
  for (int i = count - 1; i >= 0; --i) axes += static_cast<char>('0' + i);
  std::string out;
  for (char c : letters) out += c == '.' ? axes : std::string(1, c);
  return out;
}

Term sum_out(const Term& term, const std::string& kept) {
  Shape axes;
  std::string letters;
  for (int i = 0; i < term.tensor.ndim(); ++i) {
    const char c = term.letters[static_cast<size_t>(i)];
    if (has(kept, c)) {
      letters += c;
    } else {
      axes.push_back(i);
    }
  }
  return {axes.ndim() ? sum(term.tensor, axes) : term.tensor, letters};
}

/// The axes in the order of `letters`.
Tensor arranged(const Term& term, const std::string& letters) {
  Shape axes;
  for (char c : letters) axes.push_back(static_cast<int64_t>(term.letters.find(c)));
  return permute(term.tensor, axes);
}

/// Sums the product of two terms over all letters that are not in `kept`.
Term product(Term a, Term b, const std::string& kept) {
  a = sum_out(a, kept + b.letters);
  b = sum_out(b, kept + a.letters);
  std::string batch, inner, rows, columns;
  for (char c : a.letters) (!has(b.letters, c) ? rows : has(kept, c) ? batch : inner) += c;
  for (char c : b.letters) columns += has(a.letters, c) ? "" : std::string(1, c);
  const Tensor left = arranged(a, batch + rows + inner);
  const Tensor right = arranged(b, batch + inner + columns);
  Shape shape;  // of the result: batch, rows, columns
  int64_t sizes[4] = {1, 1, 1, 1};
  int axis = 0;
  for (int part = 0; part < 3; ++part) {
    const std::string& letters = part == 0 ? batch : part == 1 ? rows : inner;
    for (size_t i = 0; i < letters.size(); ++i, ++axis) {
      sizes[part] *= left.shape(axis);
      if (part < 2) shape.push_back(left.shape(axis));
    }
  }
  axis = static_cast<int>(batch.size() + inner.size());
  for (size_t i = 0; i < columns.size(); ++i, ++axis) {
    sizes[3] *= right.shape(axis);
    shape.push_back(right.shape(axis));
  }
  const auto [nbatch, nrows, ninner, ncolumns] = sizes;
  const std::string letters = batch + rows + columns;
  if (is_floating(promote(left.dtype(), right.dtype()))) {
    const Tensor out =
        matmul(reshape(left, {nbatch, nrows, ninner}), reshape(right, {nbatch, ninner, ncolumns}));
    return {reshape(out, shape), letters};
  }
  const Tensor products =
      mul(reshape(left, {nbatch, nrows, ninner, 1}), reshape(right, {nbatch, 1, ninner, ncolumns}));
  return {reshape(sum(products, Shape{2}), shape), letters};
}

}  // namespace

Tensor einsum(const std::string& subscripts, const Tensors& operands) {
  const Subscripts parsed(subscripts);
  if (operands.empty() || parsed.operands.size() != operands.size()) {
    fail(subscripts, str(parsed.operands.size(), " operands named, ", operands.size(), " given"));
  }
  std::vector<Term> terms;
  std::map<char, int64_t> sizes;
  std::map<char, int> uses;
  int broadcast = 0;  // axes of the longest ellipsis
  for (size_t i = 0; i < operands.size(); ++i) {
    const std::string& given = parsed.operands[i];
    const Tensor& x = operands[i];
    const int covered = x.ndim() - static_cast<int>(given.size()) + has(given, '.');
    if (covered < 0 || (covered > 0 && !has(given, '.'))) {
      fail(subscripts, str("operand ", i, " has shape ", x.shape(), ", not as many axes"));
    }
    broadcast = std::max(broadcast, covered);
    terms.push_back({x, expand(given, covered)});
    for (int axis = 0; axis < x.ndim(); ++axis) {
      const char c = terms[i].letters[static_cast<size_t>(axis)];
      if (terms[i].letters.rfind(c) != static_cast<size_t>(axis)) {
        fail(subscripts, str("'", c, "' twice in one operand (a diagonal) is not supported"));
      }
      int64_t& size = sizes.emplace(c, 1).first->second;
      if (size != 1 && x.shape(axis) != 1 && size != x.shape(axis)) {
        fail(subscripts, str("'", c, "' has sizes ", size, " and ", x.shape(axis)));
      }
      if (x.shape(axis) != 1) size = x.shape(axis);
      ++uses[c];
    }
  }
  std::string result = expand(parsed.result, broadcast);
  if (!parsed.arrow) {  // the ellipsis, then in alphabetical order what occurs once
    result = expand(".", broadcast);
    for (const auto& [c, count] : uses) {
      if (count == 1 && !(c >= '0' && c <= '9')) result += c;
    }
  }
  for (size_t i = 0; i < result.size(); ++i) {
    if (!sizes.count(result[i])) fail(subscripts, str("'", result[i], "' is in no operand"));
    if (result.rfind(result[i]) != i)
      fail(subscripts, str("'", result[i], "' twice in the result"));
  }
  // An axis of size 1 broadcasts: without it the operand says the same.
  for (Term& term : terms) {
    for (int axis = term.tensor.ndim() - 1; axis >= 0; --axis) {
      if (term.tensor.shape(axis) == sizes[term.letters[static_cast<size_t>(axis)]]) continue;
      term.tensor = squeeze(term.tensor, axis);
      term.letters.erase(static_cast<size_t>(axis), 1);
    }
  }
  Term sofar = terms[0];
  for (size_t i = 1; i < terms.size(); ++i) {
    std::string kept = result;
    for (size_t later = i + 1; later < terms.size(); ++later) kept += terms[later].letters;
    sofar = product(sofar, terms[i], kept);
  }
  return arranged(sum_out(sofar, result), result);
}

}  // namespace needle
