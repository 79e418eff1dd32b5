-- Stand-in (test double) for Jitsi's mod_room_destroy: not Jitsi's code.
-- Ends a room that some module asks to end, unless another one keeps it by answering first.
module:hook_global("maybe-destroy-room", function (event)
	module:log("info", "%s ends %s", event.caller, event.room.jid);
	event.room:set_persistent(false);
	event.room:destroy(nil, event.reason);
end, -1);
