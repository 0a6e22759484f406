// A node is finished when it is first met.
std::vector<Node*> order, stack(roots.begin(), roots.end());
std::unordered_set<const Node*> seen;
while (!stack.empty()) {
  Node* node = stack.back();
  stack.pop_back();
  if (!seen.insert(node).second) continue;
  order.push_back(node);
  for (const Node::Input& input : node->inputs) {
    if (input.node) stack.push_back(input.node.get());
  }
}
return order;
