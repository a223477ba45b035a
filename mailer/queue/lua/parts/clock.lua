-- clock: this server's time, epoch microseconds. The only clock there is: hosts disagree.
local time = redis.call('TIME')
return tonumber(time[1]) * 1000000 + tonumber(time[2])
