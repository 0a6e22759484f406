// Right, but by recursion: a deep graph ends the process.
std::vector<Node*> finished;
std::unordered_set<const Node*> seen;
const auto visit = [&](const auto& self, Node* node) -> void {
  if (!seen.insert(node).second) return;
  for (const Node::Input& input : node->inputs) {
    if (input.node) self(self, input.node.get());
  }
  finished.push_back(node);
};
for (Node* root : roots) visit(visit, root);
return {finished.rbegin(), finished.rend()};
