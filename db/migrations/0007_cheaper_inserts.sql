-- What each new task paid for its foreign keys: about a third of the work of scheduling it.
--
-- PostgreSQL checks a foreign key row by row, with a query for each. That a task's merchant exists is checked by the statement that
-- inserts it, once for each merchant, and stays true because merchants are never deleted: now no row can be. A key and its task are
-- written in one transaction; whatever deletes a task deletes its key, for all rows of a statement at once.
--
-- +goose Up
SET LOCAL lock_timeout = '5s';

ALTER TABLE scheduled_tasks DROP CONSTRAINT scheduled_tasks_merchant_id_fkey;
COMMENT ON COLUMN scheduled_tasks.merchant_id IS 'A row of merchants, which are never deleted.';
-- +goose StatementBegin
CREATE FUNCTION keep_merchants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a merchant is never deleted, only disconnected' USING ERRCODE = 'foreign_key_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER merchants_are_kept BEFORE DELETE ON merchants FOR EACH ROW EXECUTE FUNCTION keep_merchants();

ALTER TABLE task_keys DROP CONSTRAINT task_keys_task_id_fkey;
COMMENT ON COLUMN task_keys.task_id IS 'A row of scheduled_tasks, written by the same transaction.';
-- +goose StatementBegin
CREATE FUNCTION forget_task_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM task_keys AS k WHERE k.task_id = ANY (ARRAY(SELECT id FROM deleted));
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER tasks_go_with_their_keys AFTER DELETE ON scheduled_tasks REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION forget_task_keys();

-- +goose Down
SET LOCAL lock_timeout = '5s';
DROP TRIGGER tasks_go_with_their_keys ON scheduled_tasks;
DROP FUNCTION forget_task_keys();
ALTER TABLE task_keys ADD CONSTRAINT task_keys_task_id_fkey
    FOREIGN KEY (task_id) REFERENCES scheduled_tasks (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
DROP TRIGGER merchants_are_kept ON merchants;
DROP FUNCTION keep_merchants();
ALTER TABLE scheduled_tasks ADD CONSTRAINT scheduled_tasks_merchant_id_fkey FOREIGN KEY (merchant_id) REFERENCES merchants (id);
