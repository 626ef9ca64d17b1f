"""How images and decisions are read from a manifest: SQL, to which callers add conditions.

`IMAGES` gives each image with its last decision other than a label (`d`), its last label (`r`), and all of its decisions that stand.
"""

from __future__ import annotations

_STANDING = "x.sha256 = images.sha256 AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = x.id)"
IMAGES = f"""
SELECT images.*, coalesce(d.decision, '') AS decision, coalesce(d.reason, '') AS decision_reason, coalesce(d.decided_by, '') AS decided_by,
       coalesce(d.decided_at, '') AS decided_at,
       CASE WHEN d.id IS NULL AND r.id IS NULL THEN NULL ELSE (
         SELECT json_group_array(json_array(x.id, x.decided_by, x.decision, x.label, x.subtype, x.reason, x.decided_at))
         FROM decisions x WHERE {_STANDING}
       ) END AS standing
FROM images
LEFT JOIN decisions d ON d.id = (SELECT max(x.id) FROM decisions x WHERE {_STANDING} AND x.decision NOT IN ('relabel', 'undo'))
LEFT JOIN decisions r ON r.id = (SELECT max(x.id) FROM decisions x WHERE {_STANDING} AND x.decision = 'relabel')
"""
DECISIONS = """
SELECT d.id, d.sha256, d.decision, d.reason, d.decided_by, d.decided_at, d.label, d.subtype, d.undoes,
       EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id) AS undone
FROM decisions d
"""
