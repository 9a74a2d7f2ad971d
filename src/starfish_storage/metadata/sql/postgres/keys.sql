-- What a key looks like, for conditions in SQL: `{has_own_data own}` in a query is the text below, of the row `own`.
-- `keys.py` says the same of keys in Python, and tests compare the two. What a released migration says stays there.

-- fragment: has_own_data
-- As `owner_uid` says whose data lies under a key.
{row}.output_ref IS NOT NULL AND right({row}.output_ref, length({row}.record_uid) + 6) = '/' || {row}.record_uid || '.json'

-- fragment: borrows_data
-- The condition of the index `records_by_borrowed_data`, word for word.
{row}.output_ref IS NOT NULL AND right({row}.output_ref, length({row}.record_uid) + 6) <> '/' || {row}.record_uid || '.json'

-- fragment: owner_uid
left(substring({row}.output_ref FROM '[^/]*$'), -5)

-- fragment: named_version
CASE WHEN {row}.data_version IS NULL THEN {row}.output_ref
     ELSE left({row}.output_ref, -5) || '.' || {row}.data_version || '.json' END

-- fragment: has_request_config
-- A reference may be any text; only what lies in configs/ is data of the store's. See `check_request_config_key`.
{row}.request_config_ref LIKE 'configs/%.json' AND {row}.request_config_ref NOT LIKE 'configs/%/%'

-- fragment: in_pack
-- The condition of the indexes `..._in_packs`, word for word. As `packed_at` says it.
strpos({row}.data_version, ':') > 0

-- fragment: lies_alone
({row}.data_version IS NULL OR strpos({row}.data_version, ':') = 0)

-- fragment: in_wanted_pack
-- Of the pack `wanted.pack`: what its index finds as one range. A semicolon comes right after a colon.
strpos({row}.data_version, ':') > 0
    AND {row}.data_version > wanted.pack || ':' AND {row}.data_version < wanted.pack || ';'
