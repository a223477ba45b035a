-- clock: this server's time, epoch microseconds. The scripts use no other clock, because the clocks of hosts disagree.
local time = redis.call('TIME')
return tonumber(time[1]) * 1000000 + tonumber(time[2])
