-- clock: this server's time, epoch microseconds. The only clock there is: hosts disagree.
local now
do
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
