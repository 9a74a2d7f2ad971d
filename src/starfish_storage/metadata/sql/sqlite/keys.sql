-- What a key looks like, for conditions in SQL: `{has_own_data own}` in a query is the text below, of the row `own`.
-- `keys.py` says the same of keys in Python, and tests compare the two. What a released migration says stays there.

-- fragment: has_own_data
-- As `owner_uid` says whose data lies under a key.
{row}.output_ref IS NOT NULL AND substr({row}.output_ref, -length({row}.record_uid) - 6) = '/' || {row}.record_uid || '.json'

-- fragment: borrows_data
-- The condition of the index `records_by_borrowed_data`, word for word.
{row}.output_ref IS NOT NULL AND substr({row}.output_ref, -length({row}.record_uid) - 6) <> '/' || {row}.record_uid || '.json'

-- fragment: has_request_config
-- A reference may be any text; only what lies in configs/ is data of the store's. See `check_request_config_key`.
{row}.request_config_ref GLOB 'configs/*.json' AND {row}.request_config_ref NOT GLOB 'configs/*/*'

-- fragment: is_of_pack
-- As `place_in_pack` reads it: the journal holds nothing else that begins so.
{row}.key GLOB 'data/packs/*'
