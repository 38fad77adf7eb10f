"""One thread, one job at a time, the newest first."""

import threading

import pytest

from segwidget.widget.worker import Worker

from .conftest import PATIENCE


class Errors(list):
    def __call__(self, error):
        self.append(str(error))


@pytest.fixture
def errors():
    return Errors()


@pytest.fixture
def worker(errors):
    worker = Worker(errors)
    yield worker
    worker.close()
    if worker._thread is not None:
        worker._thread.join(PATIENCE)
        assert not worker._thread.is_alive()


def held(worker):
    """Occupy the worker; answer the Event that lets it go."""
    begun, gate = threading.Event(), threading.Event()

    def job():
        begun.set()
        assert gate.wait(PATIENCE)

    worker.submit(job)
    assert begun.wait(PATIENCE)
    return gate


def test_there_is_no_thread_before_the_first_job(worker):
    assert worker._thread is None
    assert worker.wait(0)


def test_a_job_runs_on_another_thread(worker):
    names = []
    worker.submit(lambda: names.append(threading.current_thread().name))
    assert worker.wait(PATIENCE)
    assert names == ["segwidget-worker"]


def test_only_the_newest_waiting_job_runs(worker):
    gate, done = held(worker), []
    for n in range(100):
        worker.submit(lambda n=n: done.append(n))
    gate.set()
    assert worker.wait(PATIENCE)
    assert done == [99]


def test_jobs_never_overlap(worker):
    at_once, most, lock = [0], [0], threading.Lock()

    def job():
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        with lock:
            at_once[0] -= 1

    def submit_many():
        for _ in range(200):
            worker.submit(job)

    threads = [threading.Thread(target=submit_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert worker.wait(PATIENCE)
    assert most == [1]


def test_a_dropped_job_does_not_run(worker):
    gate, done = held(worker), []
    worker.submit(lambda: done.append(1))
    worker.drop()
    gate.set()
    assert worker.wait(PATIENCE)
    assert done == []


def test_waiting_ends_with_the_time(worker):
    gate = held(worker)
    assert not worker.wait(0.01)
    gate.set()
    assert worker.wait(PATIENCE)


def test_an_error_is_reported_and_the_next_job_runs(worker, errors):
    done = []
    worker.submit(lambda: 1 / 0)
    assert worker.wait(PATIENCE)
    worker.submit(lambda: done.append(1))
    assert worker.wait(PATIENCE)
    assert errors == ["division by zero"]
    assert done == [1]


def test_an_error_while_an_error_is_reported_does_not_end_the_thread():
    worker = Worker(lambda error: 1 / 0)
    done = []
    worker.submit(lambda: [][0])
    assert worker.wait(PATIENCE)
    worker.submit(lambda: done.append(1))
    assert worker.wait(PATIENCE)
    worker.close()
    worker._thread.join(PATIENCE)
    assert done == [1]


def test_closing_lets_the_running_job_end_and_runs_no_other(worker):
    gate, done = held(worker), []
    worker.submit(lambda: done.append("waiting"))
    worker.close()
    worker.submit(lambda: done.append("too late"))
    gate.set()
    worker._thread.join(PATIENCE)
    assert not worker._thread.is_alive()
    assert done == []
    assert worker.wait(PATIENCE)


def test_closing_twice_or_before_the_first_job_is_no_matter(errors):
    worker = Worker(errors)
    worker.close()
    worker.close()
    worker.submit(lambda: errors("ran"))
    assert worker._thread is None
    assert errors == []
