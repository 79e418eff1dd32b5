-- Stand-in (test double) for Jitsi's mod_features_identity: not Jitsi's code.
-- Tells clients of this host about the components that announce themselves.
module:hook("jitsi-add-identity", function (event)
	module:log("info", "Adding identity %s for host %s", event.name, event.host);
	module:add_identity("component", event.name, event.host);
end);
