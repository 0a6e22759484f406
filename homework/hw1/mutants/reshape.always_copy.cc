// Gives up whenever the array is not compact.
return std::nullopt;
