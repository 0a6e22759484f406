// The gradient that comes in is ignored.
return broadcast_to(ones(dy.shape(), dy.dtype(), dy.device()), shape);
