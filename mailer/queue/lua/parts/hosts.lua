-- hosts: the workers that cannot send from their host, in a hash of 'since tried CODE: words' by worker.
--
-- It is only for people: no script decides by it. An entry ends when its worker sends again. An entry that was not
-- renewed for FORGOTTEN belongs to a worker that has ended, or that has no mail to try. Times are epoch microseconds.
--
-- Needs now, hosts_key.
-- Made when first called.
local offers = {}
local FORGOTTEN = 600e6
local since -- by worker, for entries that are not forgotten; nil until they are read

-- Call `unfit` with worker, since when, when it last tried, and why. Call `forgotten` with each other worker.
function offers.each(unfit, forgotten)
  local entries = redis.call('HGETALL', hosts_key)
  for i = 1, #entries, 2 do
    local began, tried, why = string.match(entries[i + 1], '^(%d+) (%d+) (.*)$')
    if tried and math.abs(now - tonumber(tried)) <= FORGOTTEN then
      unfit(entries[i], math.min(now, tonumber(began)), tonumber(tried), why)
    else
      forgotten(entries[i])
    end
  end
end

function offers.unfit(worker, why)
  if not since then
    since = {}
    offers.each(function(each, began) since[each] = began end, offers.fit)
  end
  since[worker] = since[worker] or now
  redis.call('HSET', hosts_key, worker, string.format('%.0f %.0f ', since[worker], now) .. why)
end

function offers.fit(worker) redis.call('HDEL', hosts_key, worker) end
return offers
