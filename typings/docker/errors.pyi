from typing import Optional

class DockerException(Exception): ...

class APIError(DockerException):
    explanation: Optional[str]
    @property
    def status_code(self) -> Optional[int]: ...

class NotFound(APIError): ...
