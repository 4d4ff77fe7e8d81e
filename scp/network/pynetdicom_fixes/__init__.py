"""What this node mends in pynetdicom, each with the release that makes it unnecessary. Written for 3.0.4.

This room alone knows the inside of the library: its private names, its switches, and the providers behind an
association (``dul``, ``acse``, ``dimse``). A test reads all other rooms for them.

Behaviour of the library                           Mended by                       Known upstream as
-------------------------------------------------  ------------------------------  -------------------------
A disk that fails ends the association's thread,   `received_file.ReceivedFile`    no issue; chunked files
the sender gets no answer                                                          came with pull request 526
Files of unfinished data sets stay for ever        `received_file`:                a question in the review of
                                                   `remove_unfinished`,            pull request 526, open
                                                   `remove_left`
A C-STORE without SOP Instance UID has no answer   `received_file`:                no issue; the like for
                                                   `receive_in_chunks`             N-ACTION was declined in
                                                                                   pull request 994
A PDU of any claimed length is read into memory,   `pdu_reader.UnitReader`         no issue
each byte has a timeout of its own, and what
cannot be read ends a thread
A caller has two threads before it has said        `association_requests`          no issue
anything, and a rejected one for 30 s more
Connections with a descriptor above 1023 are       `connections.poll_connections`  no issue
taken for closed, for select(2)
Each unit of an image is copied four times and     `pdu_reader.UnitReader`,        no issue
handed over twice before it is written             `received_file.ReceivedFile`
Timers run by the wall clock: setting it ends      `timers.MonotonicTimer`         no issue
associations, or keeps dead ones
Both threads of an association look a thousand     `waiting`                       no issue
times a second whether there is anything to do
An answer may be taken for a request, and        `checkpoint.Checkpoint`         issue 435, closed: it is
dropped, while a thread waits for it                                               rarer since
An answer that the peer writes in two pieces is    `connections.acknowledge`       no issue
read 40 ms late
A connection that we open has no timeout: a peer   `connections.limit_silence`     issue 616: the timeout is
that stops reading holds it for ever                                               taken away on purpose

No release makes any of them unnecessary yet. ``tests/unit/scp/network/pynetdicom_fixes/test_bare_library.py``
shows each behaviour in the bare library: the test that fails with a new release names the mend that can go.
"""
