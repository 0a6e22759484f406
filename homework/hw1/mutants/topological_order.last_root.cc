// Only the last root is looked at.
std::vector<Node*> finished;
NodeSet seen;
std::vector<std::pair<Node*, size_t>> stack;
seen.insert(roots.back());
stack.emplace_back(roots.back(), 0);
while (!stack.empty()) {
  auto& [node, next] = stack.back();
  if (next == node->inputs.size()) {
    finished.push_back(node);
    stack.pop_back();
    continue;
  }
  Node* input = node->inputs[next++].node.get();
  if (input && seen.insert(input).second) stack.emplace_back(input, 0);
}
return {finished.rbegin(), finished.rend()};
