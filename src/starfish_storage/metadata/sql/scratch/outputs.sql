-- Outputs by the input that they were made of: a database of its own, without a name, which is gone with the process.

-- name: make_inputs
CREATE TABLE inputs (
    number INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE
) STRICT

-- name: make_outputs
CREATE TABLE outputs (
    number INTEGER PRIMARY KEY,
    input  INTEGER NOT NULL,
    score  REAL,
    held   BLOB NOT NULL
) STRICT

-- name: make_index
CREATE INDEX outputs_by_input ON outputs (input, number, score)

-- name: find_input
SELECT number FROM inputs WHERE digest = :digest

-- name: add_input
INSERT INTO inputs (digest) VALUES (:digest) RETURNING number

-- name: add_output
INSERT INTO outputs (input, score, held) VALUES (:input, :score, :held)

-- name: list_outputs
SELECT input, number, score FROM outputs ORDER BY input, number

-- name: get_output
SELECT held FROM outputs WHERE number = :number
