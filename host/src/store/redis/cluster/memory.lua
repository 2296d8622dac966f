-- Says how the memory of the server is used that has this key.
-- KEYS: the fence of a partition.
return redis.call('INFO', 'memory')
