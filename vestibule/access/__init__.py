"""Access cases played live against a deployed server, the way a browser would come in.

``xmpp``        stanzas, rooms, and the ways in which a server says no
``transports``  XMPP over WebSocket and over BOSH, through TLS
``participant`` one person at the door: logs in, asks Jicofo for a room, joins, asks questions
``tokens``      good tokens, and bad ones made by hand
``scene``       the server as a case sees it, and the controls, which set the scene
``attempts``    what people try, as far as several groups of cases try it
``cases``       one file a group, and the registry: attempts, what has to happen, and the controls
``play``        plays chosen cases over the transports
``report``      lines for people, JSON for machines, nothing that opens a door in either
``prove``       all of that for one server, as the action play_access_cases asks for it
"""
