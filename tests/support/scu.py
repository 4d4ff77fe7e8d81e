"""A sender: stores data sets over the network and returns each one's own answer."""

from pynetdicom import AE
from pynetdicom.presentation import build_context


def associate(port, contexts, *, calling="PACS", called="SECONDREAD", host="127.0.0.1"):
    """Open an association; the caller looks at ``is_established`` and releases it."""
    entity = AE(ae_title=calling)
    entity.maximum_pdu_size = 131072
    return entity.associate(host, port, contexts=contexts, ae_title=called)


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
