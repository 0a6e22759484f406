// Inputs before the nodes that use them.
// Depth first; a node is finished when all its inputs are. The finishing order, reversed, puts
// every node before its inputs. The explicit stack holds (node, next input to look at).
std::vector<Node*> finished;
std::unordered_set<const Node*> seen;
std::vector<std::pair<Node*, size_t>> stack;
for (Node* root : roots) {
  if (!seen.insert(root).second) continue;
  stack.emplace_back(root, 0);
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
}
return finished;
