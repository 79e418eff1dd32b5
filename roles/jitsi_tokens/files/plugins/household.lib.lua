-- What an address is known by: of IPv6 the /64, as one household has it. The text is nginx's, with the
-- longest zeros left out.
--
-- Use: local household_of = module:require "household";
return function (ip)
	return ip:match("^%x+:%x+:%x+:%x+:") or ip:match("^[%x:]-::") or ip;
end;
