"""A sender: stores data sets over the network and returns each one's own answer."""

from contextlib import suppress

from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from scp.network.pynetdicom_fixes.checkpoint import install_checkpoint


def associate(
    port, contexts, *, calling="PACS", called="SECONDREAD", host="127.0.0.1", handlers=(), roles=()
):
    """Open an association; the caller looks at ``is_established`` and releases it."""
    entity = AE(ae_title=calling)
    entity.maximum_pdu_size = 131072
    own = [(evt.EVT_CONN_OPEN, install_checkpoint)]  # without it, a busy machine loses answers
    return entity.associate(
        host, port, contexts=contexts, ae_title=called, ext_neg=list(roles), evt_handlers=[*own, *handlers]
    )


def store(port, data_sets, *, calling="PACS", called="SECONDREAD"):
    """Store ``data_sets`` on one association; return their answers in order."""
    syntaxes = {
        (str(data_set.SOPClassUID), str(data_set.file_meta.TransferSyntaxUID)) for data_set in data_sets
    }
    contexts = [build_context(sop_class, syntax) for sop_class, syntax in sorted(syntaxes)]
    association = associate(port, contexts, calling=calling, called=called)
    assert association.is_established, "association not established"
    try:
        return [association.send_c_store(data_set) for data_set in data_sets]
    finally:
        association.release()


def store_rest(port, images, *, calling, host="127.0.0.1", before_each=lambda: None):
    """Store ``images`` of one kind on one association; return those that were not acknowledged.

    The listener may be away, or go in the middle. ``before_each`` is called before each C-STORE.
    """
    context = build_context(images[0].SOPClassUID, images[0].file_meta.TransferSyntaxUID)
    try:
        association = associate(port, [context], calling=calling, host=host)
    except OSError:
        return images
    if not association.is_established:
        return images
    rest = []
    for image in images:
        status = None
        if association.is_established:
            before_each()
            with suppress(RuntimeError):  # the association broke a moment ago
                status = association.send_c_store(image).get("Status")
        if status != 0x0000:
            rest.append(image)
    if association.is_established:
        association.release()
    return rest
