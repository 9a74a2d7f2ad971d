"""Rules of the state machine: projects, master jobs and execution jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from starfish_storage.errors import DataNotFoundError
from starfish_storage.models import GenerationJob, GenerationMasterJob, Project
from starfish_storage.statuses import EXECUTION_JOB_STATUSES, MASTER_JOB_STATUSES
from starfish_storage.testing.machine import base as drawn
from starfish_storage.testing.samples import at
from starfish_storage.testing.strategies import plain_text
from starfish_storage.testing.suites.suite import assert_same


class JobRules(drawn.ComparingMachine):
    """Does the same to the projects and jobs of both."""

    # --- projects ---------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        """Begin with a run, so that fewer histories end in refusals."""
        self.save_project("p1", "a", at(0))
        self.start_master_job("m1", "p1", "m1", "pending", at(0))
        self.start_master_job("Master-2", "p1", "m1", "pending", at(0))
        self.start_job("j1", "m1", "pending", None, None, at(0))
        self.start_job("J-2", "Master-2", "pending", None, None, at(0))

    @rule(project_id=drawn.project_ids, name=drawn.names, moment=drawn.moments)
    def save_project(self, project_id: str, name: str, moment: datetime) -> None:
        """Insert or update a project."""
        project = Project(project_id=project_id, name=name, created_when=moment, updated_when=moment)
        self.model.save_project(project)
        self.run(self.storage.save_project(project))

    @rule(project_id=drawn.project_ids, choice=drawn.choices)
    def delete_project(self, project_id: str, choice: int) -> None:
        """Delete a project, with what is in it or, mostly, not."""
        cascade = choice % 4 == 0
        expected = self.model.delete_project(project_id, cascade)
        self.agree(self.attempt(self.storage.delete_project(project_id, cascade)), expected)

    @rule(limit=drawn.limits, offset=drawn.limits, project_id=drawn.project_ids)
    def list_projects(self, limit: int | None, offset: int | None, project_id: str) -> None:
        """List projects, and get one."""
        expected = drawn.page_of(self.model.list_projects(), limit, offset)
        self.agree(self.run(self.storage.list_projects(limit, offset)), expected)
        self.agree(self.run(self.storage.get_project(project_id)), self.model.projects.get(project_id))

    # --- master jobs ------------------------------------------------------------------------------------------------

    @rule(
        id=drawn.master_job_ids,
        project=drawn.project_ids,
        config=drawn.master_job_ids,
        status=drawn.master_statuses,
        moment=drawn.moments,
    )
    def start_master_job(self, id: str, project: str, config: str, status: str, moment: datetime) -> None:
        """Start a master job, perhaps a second time, perhaps with another's configuration."""
        fields: dict[str, Any] = {
            "master_job_id": id,
            "project_id": project,
            "status": status,
            "output_schema": {"type": "object"},
            "storage_uri": "file:///where/it/was/started",
            "target_record_count": 10,
            "creation_time": moment,
            "last_update_time": moment,
        }
        expected = self.model.log_master_job_start(GenerationMasterJob(request_config_ref=config, **fields))
        reference = self.storage.generate_request_config_path(config)
        job = GenerationMasterJob(request_config_ref=reference, **fields)
        self.agree(self.attempt(self.storage.log_master_job_start(job)), expected)

    @rule(
        id=drawn.master_job_ids,
        status=drawn.master_statuses,
        summary=st.none() | drawn.counts,
        end=drawn.moments,
        update=drawn.moments,
    )
    def end_master_job(
        self, id: str, status: str, summary: dict[str, Any] | None, end: datetime, update: datetime
    ) -> None:
        """End a master job."""
        expected = self.model.log_master_job_end(id, status, summary, end, update)
        self.agree(self.attempt(self.storage.log_master_job_end(id, status, summary, end, update)), expected)

    @rule(id=drawn.master_job_ids, status=drawn.master_statuses, update=drawn.moments)
    def update_master_job(self, id: str, status: str, update: datetime) -> None:
        """Set a master job's status."""
        expected = self.model.update_master_job_status(id, status, update)
        self.agree(self.attempt(self.storage.update_master_job_status(id, status, update)), expected)

    @rule(id=drawn.master_job_ids)
    def delete_master_job(self, id: str) -> None:
        """Delete a master job."""
        expected = self.model.delete_master_job(id)
        self.agree(self.attempt(self.storage.delete_master_job(id)), expected)

    @rule(
        id=drawn.master_job_ids,
        project=st.none() | drawn.project_ids,
        some=drawn.filters(MASTER_JOB_STATUSES),
        limit=drawn.limits,
    )
    def list_master_jobs(self, id: str, project: str | None, some: list[str] | None, limit: int | None) -> None:
        """List master jobs, and get one."""
        expected = drawn.page_of(self.model.list_master_jobs(project, some), limit, 1)
        self.agree(self.run(self.storage.list_master_jobs(project, some, limit, 1)), expected)
        self.agree(self.run(self.storage.get_master_job(id)), self.model.master_jobs.get(id))

    @rule(id=drawn.master_job_ids, config=drawn.data_objects, by_key=st.booleans())
    def save_request_config(self, id: str, config: dict[str, Any], by_key: bool) -> None:
        """Save a request configuration, whether its master job exists or not."""
        self.model.save_request_config(id, config)
        reference = self.storage.generate_request_config_path(id)
        given = self.store.key(reference) if by_key else reference
        assert self.run(self.storage.save_request_config(given, config)) == reference

    @rule(id=drawn.master_job_ids)
    def get_request_config(self, id: str) -> None:
        """Read a request configuration."""
        expected = self.model.configs.get(id, DataNotFoundError)
        found = self.attempt(self.storage.get_request_config(self.storage.generate_request_config_path(id)))
        assert_same(found, expected)

    # --- execution jobs ---------------------------------------------------------------------------------------------

    @rule(
        id=drawn.job_ids,
        master=drawn.master_job_ids,
        status=drawn.job_statuses,
        config=st.none() | drawn.data_objects,
        hashed=st.none() | drawn.hashes,
        moment=drawn.moments,
    )
    def start_job(
        self, id: str, master: str, status: Any, config: dict[str, Any] | None, hashed: str | None, moment: datetime
    ) -> None:
        """Insert or update an execution job."""
        known = self.model.execution_jobs.get(id)
        given: dict[str, Any] = {} if hashed is None else {"run_config_hash": hashed}
        job = GenerationJob(
            job_id=id,
            master_job_id=known.master_job_id if known else master,
            status=status,
            run_config=config,
            creation_time=moment,
            last_update_time=moment,
            **given,
        )
        expected = self.model.log_execution_job_start(job)
        self.agree(self.attempt(self.storage.log_execution_job_start(job)), expected)

    @rule(
        id=drawn.job_ids,
        status=drawn.job_statuses,
        given=drawn.counts,
        end=drawn.moments,
        update=drawn.moments,
        error=st.none() | plain_text(3),
    )
    def end_job(
        self, id: str, status: str, given: dict[str, int], end: datetime, update: datetime, error: str | None
    ) -> None:
        """End an execution job."""
        expected = self.model.log_execution_job_end(id, status, given, end, update, error)
        found = self.attempt(self.storage.log_execution_job_end(id, status, given, end, update, error))
        self.agree(found, expected)

    @rule(
        id=drawn.job_ids,
        master=drawn.master_job_ids,
        some=drawn.filters(EXECUTION_JOB_STATUSES),
        limit=drawn.limits,
        offset=drawn.limits,
    )
    def list_jobs(self, id: str, master: str, some: list[str] | None, limit: int | None, offset: int | None) -> None:
        """List execution jobs, and get one."""
        expected = drawn.page_of(self.model.list_execution_jobs(master, some), limit, offset)
        self.agree(self.run(self.storage.list_execution_jobs(master, some, limit, offset)), expected)
        self.agree(self.run(self.storage.get_execution_job(id)), self.model.execution_jobs.get(id))

    @rule(master=drawn.master_job_ids, hashed=drawn.hashes, status=drawn.job_statuses)
    def look_up_inputs(self, master: str, hashed: str, status: str) -> None:
        """Look up one input, and all completed ones."""
        of_status = self.model.list_execution_jobs(master, [status])
        look_up = self.storage.list_execution_jobs_by_master_id_and_config_hash
        self.agree(
            self.run(look_up(master, hashed, status)), [job for job in of_status if job.run_config_hash == hashed]
        )
        completed = self.model.list_execution_jobs(master, ["completed"])
        assert self.run(self.storage.completed_config_hashes(master)) == {
            job.run_config_hash for job in completed if job.run_config_hash is not None
        }
