-- What may come at once, and how much a second after that. Both may change while it is in use.
--
-- Use: local bucket = module:require "bucket"; kept = bucket(kept, burst, rate); if kept:poll(1) then … end
-- Returns what was kept (util.throttle), or where that is nil a full one, with this burst and rate.
local new_throttle = require "util.throttle".create;

return function (throttle, burst, rate)
	throttle = throttle or new_throttle(burst, burst / rate);
	throttle.max, throttle.rate = burst, rate;
	throttle.balance = math.min(throttle.balance, burst);
	return throttle;
end;
