-- People have no contacts here: they meet in rooms.
--
-- What somebody writes into their list of contacts (RFC 6121) would stay in memory when they are gone,
-- as they have another name next time, and it may be of any size. So nothing is written.
--
-- Goes on the VirtualHosts of people. No options.
local refuse = module:require "refuse";

local SUBSCRIPTIONS = { subscribe = true, subscribed = true, unsubscribe = true, unsubscribed = true };

module:hook("iq/self/jabber:iq:roster:query", function (event)
	if event.stanza.attr.type == "set" then
		return refuse(event, "cancel", "not-allowed", "People have no contacts here");
	end
end, 1000);

for _, form in ipairs { "bare", "full", "host" } do
	module:hook("pre-presence/" .. form, function (event)
		if SUBSCRIPTIONS[event.stanza.attr.type] then
			return refuse(event, "cancel", "not-allowed", "People have no contacts here");
		end
	end, 1000);
end
